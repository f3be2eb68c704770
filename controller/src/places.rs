//! Places: how many of a kind there may be at once, all together and of one owner, so that nobody
//! can take them all. A place is given back when it is dropped.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// All together.
    pub all: usize,
    /// Of one owner.
    pub each: usize,
}

/// The places that are taken, by owner. Clones share them.
#[derive(Debug)]
pub struct Places<K> {
    limits: Capacity,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    owner: K,
}

impl<K: Clone + Eq + Hash> Places<K> {
    /// Places that are all free.
    #[must_use]
    pub fn new(limits: Capacity) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// One more place of this owner.
    ///
    /// # Errors
    /// How many places the owner has, if there is none left for it.
    pub fn enter(&self, owner: K) -> Result<Place<K>, usize> {
        let mut taken = lock(&self.taken);
        let own = taken.get(&owner).copied().unwrap_or(0);
        if own >= self.limits.each || taken.values().sum::<usize>() >= self.limits.all {
            return Err(own);
        }
        taken.insert(owner.clone(), own + 1);
        Ok(Place { taken: self.taken.clone(), owner })
    }
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self { limits: self.limits, taken: self.taken.clone() }
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        match taken.get_mut(&self.owner) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                taken.remove(&self.owner);
            }
        }
    }
}

/// Whom an address counts for: a site has a whole /64 of IPv6.
#[must_use]
pub fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

/// Whom an address counts for besides: a customer of a network has a /48 of IPv6.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 80 << 80).into(),
    }
}

fn lock<K>(taken: &Mutex<HashMap<K, usize>>) -> MutexGuard<'_, HashMap<K, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_has_a_part_all_together_have_the_whole_and_each_place_is_given_back() {
        let places = Places::new(Capacity { all: 16, each: 2 });
        let mut inside = Vec::new();
        for owner in 0..8 {
            inside.extend((0..2).map(|_| places.enter(owner).expect("a place")));
            assert_eq!(places.enter(owner).err(), Some(2), "its part is taken");
        }
        assert_eq!(places.enter(9).err(), Some(0), "all are taken");
        inside.pop();
        let place = places.clone().enter(9).expect("one was given back");
        assert_eq!(places.enter(10).err(), Some(0), "all are taken");
        drop((place, inside));
        assert!(lock(&places.taken).is_empty());
    }

    #[test]
    fn addresses_of_one_site_count_together() {
        let site = |text: &str| site_of(text.parse().expect("an address"));
        assert_eq!(site("2001:db8:1:2:3::4"), site("2001:db8:1:2:ffff::1"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:1:3::1"));
        assert_eq!(site("::ffff:192.0.2.7"), site("192.0.2.7"));
        assert_ne!(site("192.0.2.7"), site("192.0.2.8"));
        let network = |text: &str| network_of(text.parse().expect("an address"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
    }
}
