//! The seal: the second stage of a cut, a table of each cut tenant's own at its taps themselves.
//!
//! ```text
//!   guest ─► tap ─► rx_tap-…: count, drop
//!                  (netdev ingress, −500)
//!   bridge, packet sockets ─► tx_tap-…: count, drop ─► tap ─► guest
//!                             (netdev egress, −500)
//! ```
//!
//! A bridge's packet filter never sees a frame that the bridge keeps to itself (LLDP,
//! 01:80:c2:00:00:0e: it goes to whatever daemon of the host listens), nor one that the host puts
//! on a tap past the bridge. The seal drops both. It is made a moment after the cut's commit, so
//! that nothing of it delays that; where a kernel has no egress hooks (before Linux 5.16) the cut
//! stands without it, and its statement says so.
//!
//! Each tap has two chains of its own: so a tap comes and goes without the others' chains being
//! touched, on every kernel, however many there are. What the table must be is written once, here,
//! in the types of crate `nftables`: the start's probe hands it to nft, and what nft lists of a
//! table that others can edit is compared with it. The types have no place for a table's flags, and
//! nft cannot touch a table that is owned: so the host builds it by netlink.

use std::collections::BTreeSet;

use nftables::{
    batch::Batch,
    schema::{Chain, NfListObject, NfObject, Nftables, Rule, Table},
    stmt::{AnonymousCounter, Counter, Statement},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};
use tenure_protocol::wire::v1::Mark;

use super::ruleset::TapName;

/// Priority of the chains: before everything else on a device.
pub const PRIORITY: i32 = -500;

/// Code of the failure to seal taps where nft or the kernel cannot.
pub const NO_SEAL: &str = "no-seal";

/// Which way frames go, as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From the guest.
    In,
    /// To the guest.
    Out,
}

impl Way {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::In, Self::Out];
}

/// Name of a cut tenant's table, family netdev: `tenure_cut_` and its mark in hexadecimal.
#[must_use]
pub fn table_name(mark: Mark) -> String {
    format!("tenure_cut_{:x}", mark.0)
}

/// Name of a device's chain for one way.
#[must_use]
pub fn chain_name(way: Way, device: &str) -> String {
    match way {
        Way::In => format!("rx_{device}"),
        Way::Out => format!("tx_{device}"),
    }
}

/// A table with both chains for the device `lo`, as commands: for `nft -j -c`, which finds out
/// whether nft and the kernel can do what a seal needs, and changes nothing.
#[must_use]
pub fn probe() -> Nftables<'static> {
    let mut batch = Batch::new();
    for object in objects("tenure_probe_seal", &["lo"]) {
        batch.add(object);
    }
    batch.to_nftables()
}

/// Whether what nft lists of a table (`nft -j list table`) is a tenant's seal on these taps and
/// nothing else: handles and counts apart, and devices, which nft before 1.0.7 does not list.
///
/// # Errors
/// What is no JSON of nft, or has what no seal has.
pub fn is_sealed(
    mark: Mark,
    taps: &BTreeSet<TapName>,
    listed: &[u8],
) -> Result<bool, serde_json::Error> {
    let mut listed: serde_json::Value = serde_json::from_slice(listed)?;
    strip(&mut listed);
    let listed: Nftables<'static> = serde_json::from_value(listed)?;
    let taps: Vec<&str> = taps.iter().map(TapName::as_str).collect();
    let mut wanted = objects(&table_name(mark), &taps);
    for object in listed.objects.iter() {
        let NfObject::ListObject(object) = object else { return Ok(false) };
        if let NfListObject::MetainfoObject(_) = object {
            continue;
        }
        let same = |wanted: &NfListObject<'static>| match (wanted, object) {
            (NfListObject::Chain(wanted), NfListObject::Chain(found)) => {
                Chain { dev: None, ..wanted.clone() } == *found
            }
            (wanted, found) => wanted == found,
        };
        let Some(at) = wanted.iter().position(same) else { return Ok(false) };
        wanted.swap_remove(at);
    }
    Ok(wanted.is_empty())
}

/// Takes out what changes in a table's life. Counts go before the types see them: named ones are
/// 32 bits there.
fn strip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|key, _| !["handle", "dev", "packets", "bytes"].contains(&key.as_str()));
            map.values_mut().for_each(strip);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

fn objects(table: &str, devices: &[&str]) -> Vec<NfListObject<'static>> {
    let family = NfFamily::NetDev;
    let mut objects =
        vec![NfListObject::Table(Table { family, name: table.to_owned().into(), handle: None })];
    for device in devices {
        for way in Way::BOTH {
            let hook = match way {
                Way::In => NfHook::Ingress,
                Way::Out => NfHook::Egress,
            };
            let name = chain_name(way, device);
            objects.push(NfListObject::Chain(Chain {
                family,
                table: table.to_owned().into(),
                name: name.clone().into(),
                newname: None,
                handle: None,
                _type: Some(NfChainType::Filter),
                hook: Some(hook),
                prio: Some(PRIORITY),
                dev: Some((*device).to_owned().into()),
                policy: Some(NfChainPolicy::Drop),
            }));
            objects.push(NfListObject::Rule(Rule {
                family,
                table: table.to_owned().into(),
                chain: name.into(),
                expr: vec![Statement::Counter(Counter::Anonymous(Some(
                    AnonymousCounter::default(),
                )))]
                .into(),
                handle: None,
                index: None,
                comment: None,
            }));
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(names: &[&str]) -> BTreeSet<TapName> {
        names.iter().map(|name| TapName::parse(name).expect("a tap's name")).collect()
    }

    /// As nft 1.0.6 lists it (`""`), and as later ones do.
    fn listed(flags: &str, device: &str, packets: &str, extra: &str) -> String {
        let chain = |name: &str, hook: &str| {
            format!(
                r#"{{"chain":{{"family":"netdev","table":"tenure_cut_101","name":"{name}",
                "handle":1,"type":"filter","hook":"{hook}","prio":-500,{device}"policy":"drop"}}}},
                {{"rule":{{"family":"netdev","table":"tenure_cut_101","chain":"{name}","handle":2,
                "expr":[{{"counter":{{"packets":{packets},"bytes":7}}}}]}}}}"#
            )
        };
        let (rx, tx) = (chain("rx_tap-a1", "ingress"), chain("tx_tap-a1", "egress"));
        format!(
            r#"{{"nftables":[{{"metainfo":{{"version":"1.0.6","json_schema_version":1}}}},
            {{"table":{{"family":"netdev","name":"tenure_cut_101",{flags}"handle":9}}}},
            {rx},{tx}{extra}]}}"#
        )
    }

    #[test]
    fn a_listed_table_is_a_seal_whatever_it_counted_and_whoever_listed_it() {
        let is = |taps: &BTreeSet<TapName>, text: String| {
            is_sealed(Mark(0x101), taps, text.as_bytes()).expect("nft's JSON")
        };
        let one = taps(&["tap-a1"]);
        assert!(is(&one, listed("", "", "0", "")));
        // More than 32 bits hold.
        assert!(is(&one, listed("", "", "99999999999", "")));
        let later = (r#""flags":["owner","persist"],"#, r#""dev":["tap-a1"],"#);
        assert!(is(&one, listed(later.0, later.1, "1", "")));
        assert!(!is(&taps(&[]), listed("", "", "0", "")));
        assert!(!is(&taps(&["tap-a1", "tap-a2"]), listed("", "", "0", "")));
        assert!(!is(&taps(&["tap-a2"]), listed("", "", "0", "")));
        let accept = r#",{"rule":{"family":"netdev","table":"tenure_cut_101","chain":"rx_tap-a1",
            "handle":5,"expr":[{"accept":null}]}}"#;
        assert!(!is(&one, listed("", "", "0", accept)));
        assert!(!is(&one, listed("", "", "0", "").replace("\"drop\"", "\"accept\"")));
        assert!(!is(&one, listed("", "", "0", "").replace("-500", "-400")));
    }

    #[test]
    fn the_probe_is_the_golden_text() {
        let text = serde_json::to_string_pretty(&probe()).expect("JSON");
        assert_eq!(text, include_str!("../../tests/golden/seal_probe.json").trim_end());
    }
}
