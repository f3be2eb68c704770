//! From where persons and hosts came in before: in a rush they go before strangers, and the
//! provider's before its customers. It is a hint, and opens nothing. Each name has a few sites, so
//! that nobody pushes others out.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tenure_protocol::{digest::Digest, time::Timestamp};

use crate::places::site_of;

/// Sites that are held in mind of one name; the one that was not used longest goes first.
pub const SITES_OF_NAME: usize = 8;
/// Names that are held in mind: more than one controller is made for.
const MAX_NAMES: usize = 65_536;
/// Before the name of somebody of the provider, besides the name alone.
pub const PROVIDER: &str = "provider/";
/// Before a host's id.
pub const HOST: &str = "host/";
/// How often it is to be written down that somebody still comes from a site, ms.
const NEWS_MS: i64 = 60 * 60 * 1000;

/// Who came in from where.
#[derive(Debug, Default)]
pub struct Acquainted(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Sites of each name, the one that was used last at the end, with when that was written down.
    names: HashMap<Digest, VecDeque<(IpAddr, Timestamp)>>,
    /// How many names of the provider came from each site.
    sites: HashMap<IpAddr, usize>,
}

impl Acquainted {
    /// Somebody came in from this address. Says whether that is to be written down.
    pub fn meet(&self, name: &str, address: IpAddr, now: Timestamp) -> bool {
        let inside = name.starts_with(PROVIDER) || name.starts_with(HOST);
        let (name, site) = (Digest::of(name.as_bytes()), site_of(address));
        let mut known = self.known();
        let known = &mut *known;
        if !known.names.contains_key(&name) && known.names.len() >= MAX_NAMES {
            return false;
        }
        let sites = known.names.entry(name).or_default();
        let before = sites.iter().position(|(one, _)| *one == site);
        let noted = match before.and_then(|at| sites.remove(at)) {
            Some((_, noted)) if now.ms_since(noted).abs() < NEWS_MS => Some(noted),
            Some(_) => None,
            None => {
                if inside {
                    *known.sites.entry(site).or_default() += 1;
                }
                None
            }
        };
        sites.push_back((site, noted.unwrap_or(now)));
        if sites.len() > SITES_OF_NAME
            && let Some((oldest, _)) = sites.pop_front()
            && inside
        {
            let left = known.sites.get(&oldest).map_or(0, |names| names - 1);
            if left == 0 {
                known.sites.remove(&oldest);
            } else {
                known.sites.insert(oldest, left);
            }
        }
        noted.is_none()
    }

    /// Whether somebody of this name came in from there.
    #[must_use]
    pub fn knows(&self, name: &str, address: IpAddr) -> bool {
        let (name, site) = (Digest::of(name.as_bytes()), site_of(address));
        let known = self.known();
        known.names.get(&name).is_some_and(|sites| sites.iter().any(|(one, _)| *one == site))
    }

    /// Whether anybody of the provider, or a host, came in from there.
    #[must_use]
    pub fn is_providers(&self, address: IpAddr) -> bool {
        self.known().sites.contains_key(&site_of(address))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn address(number: usize) -> IpAddr {
        format!("192.0.2.{number}").parse().expect("an address")
    }

    #[test]
    fn a_name_is_known_at_its_last_sites_and_pushes_nobody_out() {
        let known = Acquainted::default();
        assert!(known.meet("provider/li.na", address(1), at(0)));
        for number in 1..=SITES_OF_NAME + 1 {
            assert!(known.meet("provider/chen", address(number), at(0)));
        }
        assert!(!known.knows("provider/chen", address(1)), "its oldest");
        assert!(known.knows("provider/chen", address(2)));
        assert!(known.knows("provider/li.na", address(1)));
        assert!(known.is_providers(address(1)), "another's still");
        for number in 2..=SITES_OF_NAME + 1 {
            known.meet("provider/li.na", address(number), at(0));
        }
        assert!(!known.is_providers(address(1)), "nobody's any more");
        assert!(known.is_providers(address(2)) && !known.is_providers(address(99)));
        assert!(known.meet("zhang.wei", address(77), at(0)));
        assert!(known.knows("zhang.wei", address(77)));
        assert!(!known.is_providers(address(77)), "a customer's");
    }

    #[test]
    fn it_is_written_down_once_in_an_hour() {
        let known = Acquainted::default();
        assert!(known.meet("li.na", address(1), at(0)));
        assert!(!known.meet("li.na", address(1), at(NEWS_MS - 1)));
        assert!(known.meet("li.na", address(1), at(NEWS_MS)));
        assert!(!known.meet("li.na", address(1), at(NEWS_MS + 1)));
    }
}
