//! A table as nft lists it, in a normal form: without what changes in a table's life (counts and
//! handles), and in an order that does not depend on when what was made. As plain JSON: it is
//! compared with itself, so types would add nothing, and those of crate nftables (0.6.3) hold named
//! counters as 32 bits: with the counts left in, they refuse the list of a table that has dropped
//! 4 GiB.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::NftFailure;
use crate::host::process;

/// Keys of nft's JSON that change without the table being another.
const VOLATILE: [&str; 5] = ["metainfo", "handle", "packets", "bytes", "expires"];
/// What a line of an element begins with; lines of all else are JSON.
const ELEMENT: &str = "element of ";
/// What a difference is told by at most, characters.
const MAX_TOLD: usize = 240;

/// A listed table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Table, sets, chains and elements, sorted.
    parts: Vec<String>,
    /// Rules by their chains, in their order.
    rules: BTreeMap<String, Vec<String>>,
}

/// Whether elements of sets and maps count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elements {
    /// They do.
    Compared,
    /// They come and go by netlink, and are read back there.
    Ignored,
}

/// Lists a table of family bridge.
///
/// # Errors
/// [`NftFailure::Text`] if nft fails, [`NftFailure::Unreadable`] if it prints no JSON.
pub(super) fn list(table: &str, elements: Elements) -> Result<Listing, NftFailure> {
    let output = process::run(&["nft", "-j", "list", "table", "bridge", table], &[], &[])
        .map_err(|source| NftFailure::Text { operation: "list a table", source })?;
    Listing::read(&output.stdout, elements)
}

impl Listing {
    fn read(json: &[u8], elements: Elements) -> Result<Self, NftFailure> {
        let unreadable = |what: String| NftFailure::Unreadable(format!("nft's JSON: {what}"));
        let value: Value =
            serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()))?;
        let objects = value["nftables"].as_array().ok_or_else(|| unreadable("no list".into()))?;
        let mut listing = Self::default();
        for object in objects {
            let mut object = object.clone();
            strip(&mut object);
            if let Some(rule) = object.get("rule") {
                let chain = rule["chain"].as_str().unwrap_or_default().to_owned();
                listing.rules.entry(chain).or_default().push(object.to_string());
                continue;
            }
            for kind in ["set", "map"] {
                let Some(set) = object.get_mut(kind).and_then(Value::as_object_mut) else {
                    continue;
                };
                let name = set.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
                let Some(Value::Array(list)) = set.remove("elem") else { continue };
                if elements == Elements::Compared {
                    let lines = list.iter().map(|one| format!("{ELEMENT}{name}: {one}"));
                    listing.parts.extend(lines);
                }
            }
            if object.as_object().is_some_and(|object| !object.is_empty()) {
                listing.parts.push(object.to_string());
            }
        }
        listing.parts.sort();
        Ok(listing)
    }

    /// This listing without the elements of one and with those of another.
    pub(super) fn changed(&self, gone: &Self, come: &Self) -> Self {
        let is_element = |line: &&String| line.starts_with(ELEMENT);
        let gone: BTreeSet<_> = gone.parts.iter().filter(is_element).collect();
        let stays = self.parts.iter().filter(|line| !gone.contains(line));
        let mut parts: Vec<String> =
            stays.chain(come.parts.iter().filter(is_element)).cloned().collect();
        parts.sort();
        Self { parts, rules: self.rules.clone() }
    }

    /// What another listing has that this one has not, and the other way round, as a sentence;
    /// nothing if they are the same.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        if self == found {
            return None;
        }
        let count = |listing: &Self| {
            let mut counts = BTreeMap::<String, i64>::new();
            for line in listing.parts.iter().chain(listing.rules.values().flatten()) {
                *counts.entry(line.clone()).or_default() += 1;
            }
            counts
        };
        let mut counts = count(found);
        for (line, times) in count(self) {
            *counts.entry(line).or_default() -= times;
        }
        let of = |sign: i64| {
            let lines = counts.iter().filter(|(_, times)| times.signum() == sign);
            lines.map(|(line, _)| line.as_str()).collect::<Vec<_>>()
        };
        let (more, less) = (of(1), of(-1));
        let Some(first) = more.first().or(less.first()) else {
            return Some("rules are in another order".to_owned());
        };
        let first: String = first.chars().take(MAX_TOLD).collect();
        Some(format!("{} more than was made, {} less, such as {first}", more.len(), less.len()))
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !VOLATILE.contains(&key.as_str()));
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(elements: Elements, packets: u64, element: &str, rules: &[&str]) -> Listing {
        let rules: Vec<String> = rules
            .iter()
            .map(|verdict| {
                format!(
                    r#"{{"rule":{{"chain":"input","handle":9,"expr":[{{"{verdict}":null}}]}}}}"#
                )
            })
            .collect();
        let json = format!(
            r#"{{"nftables":[{{"metainfo":{{"version":"1.0.6"}}}},
            {{"counter":{{"name":"cut_rx","packets":{packets}}}}},
            {{"set":{{"name":"cut_tenant","elem":[{element}],"handle":3}}}},{}]}}"#,
            rules.join(",")
        );
        Listing::read(json.as_bytes(), elements).expect("JSON")
    }

    #[test]
    fn counts_handles_and_the_order_of_elements_are_no_difference_but_rules_are() {
        use Elements::{Compared, Ignored};
        let one = listed(Compared, 0, "1,257", &["drop"]);
        // More than 32 bits hold.
        assert_eq!(one.difference(&listed(Compared, 99_999_999_999, "257,1", &["drop"])), None);
        let differs = |found: Listing| one.difference(&found).expect("a difference");
        let told = differs(listed(Compared, 0, "1", &["drop"]));
        assert_eq!(told, "0 more than was made, 1 less, such as element of cut_tenant: 257");
        let told = differs(listed(Compared, 0, "1,257", &["accept", "drop"]));
        assert!(told.starts_with("1 more than was made, 0 less, such as {\"rule\""), "{told}");
        assert!(told.contains("accept"), "{told}");
        let two = listed(Ignored, 0, "", &["drop", "accept"]);
        assert_eq!(two.difference(&listed(Ignored, 7, "5", &["drop", "accept"])), None);
        let told = two.difference(&listed(Ignored, 0, "", &["accept", "drop"]));
        assert_eq!(told.as_deref(), Some("rules are in another order"));
    }
}
