//! Arithmetic on IPv4 addresses: prefixes as people write them, and sets of addresses as ranges.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::Deserialize;

/// Addresses from the first to the last, both included.
pub type Range = (u32, u32);

/// Every address.
pub const EVERYBODY: Range = (0, u32::MAX);

/// An IPv4 prefix without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix {
    address: u32,
    length: u8,
}

/// Text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePrefixError {
    /// Of IPv6.
    #[error("IPv6 is not carried yet: give an IPv4 prefix, such as 10.1.0.0/16")]
    Ipv6,
    /// Not an address, a slash, and a length.
    #[error("this is no IPv4 prefix: give one such as 10.1.0.0/16, or 10.1.2.3/32 for one address")]
    Form,
    /// The address has bits beyond the length.
    #[error("the address has bits beyond the prefix: write {0} for the network, or /32")]
    HostBits(Prefix),
}

impl Prefix {
    /// A prefix; bits beyond its length are dropped.
    const fn of(address: u32, length: u8) -> Self {
        let mask = if length == 0 { 0 } else { u32::MAX << (32 - length) };
        Self { address: address & mask, length }
    }

    /// Its addresses.
    #[must_use]
    pub const fn range(self) -> Range {
        let rest = if self.length == 0 { u32::MAX } else { !(u32::MAX << (32 - self.length)) };
        (self.address, self.address | rest)
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, ParsePrefixError> {
        if text.contains(':') {
            return Err(ParsePrefixError::Ipv6);
        }
        let (address, length) = text.split_once('/').ok_or(ParsePrefixError::Form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| ParsePrefixError::Form)?;
        let plain = !length.is_empty()
            && length.bytes().all(|byte| byte.is_ascii_digit())
            && (length == "0" || !length.starts_with('0'));
        let length: u8 = length.parse().map_err(|_| ParsePrefixError::Form)?;
        if !plain || length > 32 {
            return Err(ParsePrefixError::Form);
        }
        let prefix = Self::of(u32::from(address), length);
        if prefix.address == u32::from(address) {
            Ok(prefix)
        } else {
            Err(ParsePrefixError::HostBits(prefix))
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|error: ParsePrefixError| format!("{text:?}: {error}"))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.length)
    }
}

/// The same addresses in order, each once, and without gaps between neighbours.
#[must_use]
pub fn union(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut union: Vec<Range> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match union.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            Some(_) | None => union.push((first, last)),
        }
    }
    union
}

/// What both have; each is a [`union`].
#[must_use]
pub fn intersection(one: &[Range], other: &[Range]) -> Vec<Range> {
    let mut both = Vec::new();
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(&&(first, last)), Some(&&(from, to))) = (ones.peek(), others.peek()) {
        if first.max(from) <= last.min(to) {
            both.push((first.max(from), last.min(to)));
        }
        if last < to {
            ones.next()
        } else {
            others.next()
        };
    }
    both
}

/// What the first has and the second has not; each is a [`union`].
#[must_use]
pub fn difference(one: &[Range], other: &[Range]) -> Vec<Range> {
    let mut gaps = Vec::with_capacity(other.len() + 1);
    let mut from = Some(0);
    for &(first, last) in other {
        if let Some(start) = from
            && start < first
        {
            gaps.push((start, first - 1));
        }
        from = last.checked_add(1);
    }
    gaps.extend(from.map(|start| (start, u32::MAX)));
    intersection(one, &gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_an_address_without_host_bits_and_a_length() {
        let parse = |text: &str| text.parse::<Prefix>();
        assert_eq!(parse("10.1.0.0/16").map(Prefix::range), Ok((0x0a01_0000, 0x0a01_ffff)));
        assert_eq!(parse("0.0.0.0/0").map(Prefix::range), Ok(EVERYBODY));
        assert_eq!(parse("255.255.255.255/32").map(Prefix::range), Ok((u32::MAX, u32::MAX)));
        assert_eq!(
            parse("10.1.2.3/16").map_err(|error| error.to_string()),
            Err("the address has bits beyond the prefix: write 10.1.0.0/16 for the network, or \
                 /32"
            .to_owned())
        );
        for ip6 in ["::/0", "2001:db8::/32", "::ffff:10.0.0.0/104"] {
            assert_eq!(parse(ip6), Err(ParsePrefixError::Ipv6), "{ip6}");
        }
        for bad in [
            "",
            "/",
            "10.1.0.0",
            "10.1/16",
            "10.1.0.0/33",
            "10.1.0.0/+8",
            "10.1.0.0/08",
            "a/8",
            "10.1.0.0/16 ",
            "010.1.0.0/16",
        ] {
            assert_eq!(parse(bad), Err(ParsePrefixError::Form), "{bad:?}");
        }
    }

    #[test]
    fn sets_of_addresses_are_exact_at_both_ends_of_the_space() {
        assert_eq!(union(vec![(5, 9), (0, 3), (4, 4), (8, 12), (20, 20)]), [(0, 12), (20, 20)]);
        assert_eq!(union(vec![(0, u32::MAX), (3, 4)]), [EVERYBODY]);
        let some = [(0, 3), (10, 20), (30, u32::MAX)];
        assert_eq!(
            intersection(&some, &[(2, 11), (20, 30)]),
            [(2, 3), (10, 11), (20, 20), (30, 30)]
        );
        assert_eq!(difference(&[EVERYBODY], &some), [(4, 9), (21, 29)]);
        assert_eq!(difference(&some, &[EVERYBODY]), []);
        assert_eq!(difference(&some, &[]), some);
        assert_eq!(difference(&some, &[(0, 0), (15, 15)])[..3], [(1, 3), (10, 14), (16, 20)]);
    }

    #[test]
    fn sets_agree_with_addresses_looked_at_one_by_one() {
        let sets = |seed: u32| {
            let pick = |n: u32| (seed.wrapping_mul(2_654_435_761).rotate_left(n * 5)) % 40;
            union((0..4).map(|n| (pick(n), pick(n) + pick(n + 7) % 6)).collect())
        };
        let has =
            |set: &[Range], at: u32| set.iter().any(|&(first, last)| first <= at && at <= last);
        for seed in 1..400 {
            let (one, other) = (sets(seed), sets(seed * 31 + 7));
            let (both, rest) = (intersection(&one, &other), difference(&one, &other));
            for at in 0..50 {
                assert_eq!(has(&both, at), has(&one, at) && has(&other, at), "{one:?} {other:?}");
                assert_eq!(has(&rest, at), has(&one, at) && !has(&other, at), "{one:?} {other:?}");
            }
        }
    }
}
