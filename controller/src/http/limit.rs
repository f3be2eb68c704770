//! How often somebody may come: per identity, per peer address, and, more slowly, per account for
//! whoever comes in by password. Each limit is a bucket that fills up steadily (GCRA), so nobody is
//! locked out for ever.
//!
//! A peer is an IPv4 address or an IPv6 /64. Behind a proxy all are one peer: the controller is
//! reached directly, and believes no header about where a request comes from.
//!
//! Coming in: an attacker who tries passwords of an account uses up what strangers to it may try
//! together. A peer from which somebody came into that account before is no stranger: it has a
//! bucket of its own, which nobody else can empty. Unknown names are counted as known ones are.

use std::{
    collections::VecDeque,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use tenure_protocol::digest::Digest;

use super::problem::Problem;
use crate::{config::Rates, places::site_of};

/// Attempts from one peer at any accounts: at once, and then one in this time.
const PEER_TRIES: (u32, Duration) = (20, Duration::from_secs(6));
/// Attempts from one peer at one account.
const PAIR_TRIES: (u32, Duration) = (10, Duration::from_secs(30));
/// Attempts at one account from all peers from which nobody came into it before.
const STRANGER_TRIES: (u32, Duration) = (20, Duration::from_secs(30));
/// Pairs of account and peer that are remembered as no strangers; the oldest goes first.
const ACQUAINTED_MAX: usize = 4096;
/// After so many questions a limit forgets the buckets that are full again.
const FORGET_EVERY: u32 = 4096;

type Pair = (Digest, IpAddr);

/// A bucket for each key.
#[derive(Debug)]
struct Buckets<K: Clone + Hash + Eq> {
    limiter: DefaultKeyedRateLimiter<K>,
    asked: AtomicU32,
}

/// All limits of rates. In memory: they begin anew with the controller.
#[derive(Debug)]
pub struct Limits {
    identities: Buckets<String>,
    peers: Buckets<IpAddr>,
    peer_tries: Buckets<IpAddr>,
    pair_tries: Buckets<Pair>,
    stranger_tries: Buckets<Digest>,
    acquainted: Mutex<VecDeque<Pair>>,
}

impl Limits {
    /// With the configured rates.
    #[must_use]
    pub fn new(rates: &Rates) -> Self {
        let steady = |per_second: NonZeroU32, burst: NonZeroU32| {
            Quota::per_second(per_second).allow_burst(burst)
        };
        Self {
            identities: Buckets::new(steady(rates.identity_per_second, rates.identity_burst)),
            peers: Buckets::new(steady(rates.peer_per_second, rates.peer_burst)),
            peer_tries: Buckets::new(slow(PEER_TRIES)),
            pair_tries: Buckets::new(slow(PAIR_TRIES)),
            stranger_tries: Buckets::new(slow(STRANGER_TRIES)),
            acquainted: Mutex::default(),
        }
    }

    /// A request from this peer.
    ///
    /// # Errors
    /// 429.
    pub fn peer(&self, peer: IpAddr) -> Result<(), Problem> {
        self.peers.take(&site_of(peer))
    }

    /// A request of this person, whatever token or session it came with.
    ///
    /// # Errors
    /// 429.
    pub fn identity(&self, name: &str) -> Result<(), Problem> {
        self.identities.take(&name.to_owned())
    }

    /// An attempt to come into an account.
    ///
    /// # Errors
    /// 429.
    pub fn attempt(&self, account: &str, peer: IpAddr) -> Result<(), Problem> {
        let peer = site_of(peer);
        let account = Digest::of(account.as_bytes());
        self.peer_tries.take(&peer)?;
        self.pair_tries.take(&(account, peer))?;
        let is_stranger = {
            let acquainted = self.acquainted.lock().unwrap_or_else(PoisonError::into_inner);
            !acquainted.contains(&(account, peer))
        };
        if is_stranger { self.stranger_tries.take(&account) } else { Ok(()) }
    }

    /// An attempt to come in by an OpenID provider, into an account that is not known yet.
    ///
    /// # Errors
    /// 429.
    pub fn entry(&self, peer: IpAddr) -> Result<(), Problem> {
        self.peer_tries.take(&site_of(peer))
    }

    /// Somebody came into an account from this peer.
    pub fn acquaint(&self, account: &str, peer: IpAddr) {
        let pair = (Digest::of(account.as_bytes()), site_of(peer));
        let mut acquainted = self.acquainted.lock().unwrap_or_else(PoisonError::into_inner);
        acquainted.retain(|known| *known != pair);
        acquainted.push_back(pair);
        if acquainted.len() > ACQUAINTED_MAX {
            acquainted.pop_front();
        }
    }
}

fn slow((burst, period): (u32, Duration)) -> Quota {
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

impl<K: Clone + Hash + Eq> Buckets<K> {
    fn new(quota: Quota) -> Self {
        Self { limiter: RateLimiter::dashmap(quota), asked: AtomicU32::new(0) }
    }

    fn take(&self, key: &K) -> Result<(), Problem> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.limiter.clock().now());
            too_many(wait)
        })
    }
}

/// The answer to whoever comes too often: when to come again, rounded up to seconds.
fn too_many(wait: Duration) -> Problem {
    let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
    let detail = format!("too many requests: come again in {seconds} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
    Problem { retry_after_s: Some(seconds), ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "192.0.2.1";

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// How many attempts at an account from a peer are let through, of 50.
    fn let_through(limits: &Limits, account: &str, peer: &str) -> usize {
        (0..50).filter(|_| limits.attempt(account, address(peer)).is_ok()).count()
    }

    #[test]
    fn an_attacker_cannot_lock_out_whoever_came_in_before() {
        let limits = Limits::new(&Rates::default());
        limits.attempt("admin", address(HOME)).expect("the first time");
        limits.acquaint("admin", address(HOME));
        let tries: usize =
            (1..=20).map(|n| let_through(&limits, "admin", &format!("198.51.100.{n}"))).sum();
        assert_eq!(tries, 19, "what strangers may try together; one was used before");
        assert!(limits.attempt("admin", address("203.0.113.9")).is_err(), "a stranger waits");
        assert_eq!(let_through(&limits, "admin", HOME), 9, "the acquainted peer does not");
        assert!(limits.attempt("other", address("203.0.113.9")).is_ok(), "other accounts stand");
    }

    #[test]
    fn one_peer_tries_few_times_and_is_told_when_to_come_again() {
        let limits = Limits::new(&Rates::default());
        assert_eq!(let_through(&limits, "li.na", HOME), 10);
        let problem = limits.attempt("li.na", address(HOME)).expect_err("too many");
        assert_eq!(problem.status, 429);
        assert!(problem.retry_after_s.is_some_and(|s| (1..=31).contains(&s)), "{problem:?}");
        let names: usize = (0..20).map(|n| let_through(&limits, &format!("name-{n}"), HOME)).sum();
        assert!(names < 20, "a peer cannot go through all names: {names}");
    }

    #[test]
    fn a_peer_is_an_address_or_a_v6_network() {
        assert_eq!(site_of(address("::ffff:192.0.2.1")), address(HOME));
        assert_eq!(site_of(address("2001:db8:1:2:3::4")), address("2001:db8:1:2::"));
    }
}
