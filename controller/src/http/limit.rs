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
//!
//! A cut is not counted, if its token or session is recognised: one that was in force when it was
//! last seen. Any other is counted for its peer before it is looked up, so that bad tokens cost no
//! more on the way of cuts than elsewhere, and take nothing from the good ones of the same peer.

use std::{
    collections::HashSet,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use tenure_protocol::digest::Digest;

use super::problem::Problem;
use crate::{acquainted::Acquainted, config::Rates, places::site_of};

/// Attempts from one peer at any accounts: at once, and then one in this time.
const PEER_TRIES: (u32, Duration) = (20, Duration::from_secs(6));
/// Attempts from one peer at one account.
const PAIR_TRIES: (u32, Duration) = (10, Duration::from_secs(30));
/// Attempts at one account from all peers from which nobody came into it before.
const STRANGER_TRIES: (u32, Duration) = (20, Duration::from_secs(30));
/// Secrets that are recognised of either generation; a second one takes the place of the first.
const RECOGNISED_MAX: usize = 32_768;
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
pub struct CallLimits {
    identities: Buckets<String>,
    peers: Buckets<IpAddr>,
    peer_tries: Buckets<IpAddr>,
    pair_tries: Buckets<Pair>,
    stranger_tries: Buckets<Digest>,
    recognised: Mutex<Recognised>,
}

/// Digests of secrets that were in force of late: those that were seen since the last change of
/// generations, and those that were seen in the one before. It only says what may be looked up
/// without being counted; whether it still opens anything is asked each time.
#[derive(Debug, Default)]
struct Recognised {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
}

impl CallLimits {
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
            recognised: Mutex::default(),
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
    pub fn attempt(
        &self,
        account: &str,
        peer: IpAddr,
        acquainted: &Acquainted,
    ) -> Result<(), Problem> {
        let is_stranger = !acquainted.knows(account, peer);
        let peer = site_of(peer);
        let account = Digest::of(account.as_bytes());
        self.peer_tries.take(&peer)?;
        self.pair_tries.take(&(account, peer))?;
        if is_stranger { self.stranger_tries.take(&account) } else { Ok(()) }
    }

    /// An attempt to come in by an OpenID provider, into an account that is not known yet.
    ///
    /// # Errors
    /// 429.
    pub fn entry(&self, peer: IpAddr) -> Result<(), Problem> {
        self.peer_tries.take(&site_of(peer))
    }

    /// These secrets are in force.
    pub fn recognise(&self, secrets: impl IntoIterator<Item = Digest>) {
        let mut recognised = self.recognised();
        for secret in secrets {
            if recognised.young.insert(secret) && recognised.young.len() >= RECOGNISED_MAX {
                recognised.old = std::mem::take(&mut recognised.young);
            }
        }
    }

    /// This secret is no longer in force, or not for a cut.
    pub fn disown(&self, secret: &Digest) {
        let mut recognised = self.recognised();
        recognised.young.remove(secret);
        recognised.old.remove(secret);
    }

    /// Whether the secret was in force when it was last seen.
    pub fn recognises(&self, secret: &Digest) -> bool {
        let recognised = self.recognised();
        recognised.young.contains(secret) || recognised.old.contains(secret)
    }

    fn recognised(&self) -> MutexGuard<'_, Recognised> {
        self.recognised.lock().unwrap_or_else(PoisonError::into_inner)
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
    use tenure_protocol::time::Timestamp;

    use super::*;

    const HOME: &str = "192.0.2.1";

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// An attempt at an account that was come into from [`HOME`] if it is `admin`.
    fn attempt(limits: &CallLimits, account: &str, peer: &str) -> Result<(), Problem> {
        let acquainted = Acquainted::default();
        acquainted.meet("admin", address(HOME), Timestamp::from_unix_ms(0));
        limits.attempt(account, address(peer), &acquainted)
    }

    /// How many attempts at an account from a peer are let through, of 50.
    fn let_through(limits: &CallLimits, account: &str, peer: &str) -> usize {
        (0..50).filter(|_| attempt(limits, account, peer).is_ok()).count()
    }

    #[test]
    fn secrets_in_use_stay_recognised_however_many_others_come() {
        let limits = CallLimits::new(&Rates::default());
        let secret = |number: usize| Digest::of(&number.to_be_bytes());
        for number in 1..3 * RECOGNISED_MAX {
            if number % 1000 == 0 {
                limits.recognise([secret(0)]);
            }
            limits.recognise([secret(number)]);
        }
        assert!(limits.recognises(&secret(0)) && !limits.recognises(&secret(1)));
        let recognised = limits.recognised();
        assert!(recognised.young.len() + recognised.old.len() <= 2 * RECOGNISED_MAX);
        drop(recognised);
        limits.disown(&secret(0));
        assert!(!limits.recognises(&secret(0)));
    }

    #[test]
    fn an_attacker_cannot_lock_out_whoever_came_in_before() {
        let limits = CallLimits::new(&Rates::default());
        let tries: usize =
            (1..=20).map(|n| let_through(&limits, "admin", &format!("198.51.100.{n}"))).sum();
        assert_eq!(tries, 20, "what strangers may try together");
        assert!(attempt(&limits, "admin", "203.0.113.9").is_err(), "a stranger waits");
        assert_eq!(let_through(&limits, "admin", HOME), 10, "the acquainted peer does not");
        assert!(attempt(&limits, "other", "203.0.113.9").is_ok(), "other accounts stand");
    }

    #[test]
    fn one_peer_tries_few_times_and_is_told_when_to_come_again() {
        let limits = CallLimits::new(&Rates::default());
        assert_eq!(let_through(&limits, "li.na", HOME), 10);
        let problem = attempt(&limits, "li.na", HOME).expect_err("too many");
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
