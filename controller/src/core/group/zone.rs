//! Which addresses the site calls what: hosts know zones by addresses alone. So an edge that puts
//! its own address in place of a sender's hides the zone, and has to be the gate itself.

use serde::Deserialize;
use tenure_protocol::wire::v1::Network;

use super::range::{self, Prefix, Range};

/// Most prefixes of the extranet: with more of them, the ports of an application could be more
/// rules than a network card takes.
pub const EXTRANET_LIMIT: usize = 6;

/// The site's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Zones {
    /// The government extranet (政务外网): all else is the Internet.
    pub extranet: Vec<Prefix>,
    /// The platform's own, such as its management: customers' rules may not name them.
    pub reserved: Vec<Prefix>,
}

/// Private addresses (RFC 1918), and 59.192.0.0/10, which is the national extranet's.
const SHIPPED: [&str; 4] = ["10.0.0.0/8", "59.192.0.0/10", "172.16.0.0/12", "192.168.0.0/16"];

impl Default for Zones {
    fn default() -> Self {
        let extranet = SHIPPED.iter().filter_map(|text| text.parse().ok()).collect();
        Self { extranet, reserved: Vec::new() }
    }
}

impl Zones {
    /// What is wrong with a site's own, if anything is.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.extranet.len() > EXTRANET_LIMIT {
            return Err(format!(
                "{} prefixes: give at most {EXTRANET_LIMIT}, so that rules stay few",
                self.extranet.len()
            ));
        }
        Ok(())
    }

    /// What is not the Internet for a tenant: the extranet, and its own network.
    #[must_use]
    pub fn extranet_of(&self, network: &Network) -> Vec<Range> {
        let mut ranges: Vec<Range> = self.extranet.iter().map(|prefix| prefix.range()).collect();
        let rest = u32::MAX.checked_shr(u32::from(network.prefix)).unwrap_or(0);
        let first = u32::from_be_bytes(network.address) & !rest;
        ranges.push((first, first | rest));
        range::union(ranges)
    }

    /// The reserved prefix that these addresses overlap.
    #[must_use]
    pub fn reserved_in(&self, (first, last): Range) -> Option<Prefix> {
        let overlaps = |prefix: &&Prefix| {
            let (from, to) = prefix.range();
            first <= to && from <= last
        };
        self.reserved.iter().find(overlaps).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_extranet_is_whole_and_a_tenants_own_network_is_never_the_internet() {
        let zones = Zones::default();
        assert_eq!(zones.extranet.len(), SHIPPED.len());
        let network = Network { address: [203, 0, 113, 0], prefix: 24, gateway: [203, 0, 113, 1] };
        let inside = zones.extranet_of(&network);
        assert!(inside.contains(&(0xcb00_7100, 0xcb00_71ff)), "{inside:x?}");
        assert!(inside.contains(&(0x0a00_0000, 0x0aff_ffff)), "{inside:x?}");
        assert_eq!(inside.len(), 5);
    }

    #[test]
    fn more_prefixes_than_rules_can_bear_are_refused_and_host_bits_too() {
        let zones = |text: &str| serde_json::from_str::<Zones>(text).map_err(|e| e.to_string());
        let many = format!("{{\"extranet\": [{}]}}", ["\"10.0.0.0/8\""; 7].join(","));
        assert!(zones(&many).expect("readable").check().is_err());
        let error = zones("{\"reserved\": [\"10.9.0.1/16\"]}").expect_err("host bits");
        assert!(error.contains("write 10.9.0.0/16"), "{error}");
    }
}
