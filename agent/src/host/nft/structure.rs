//! The cut table's structure as nft lists it, without what changes in its life: elements, counts
//! and handles. As plain JSON: it is compared with itself, so types would add nothing, and those of
//! crate nftables (0.6.3) hold named counters as 32 bits: with the counts left in, they refuse the
//! list of a table that has dropped 4 GiB.

use serde_json::Value;

use super::NftFailure;
use crate::{core::ruleset::CUT_TABLE, host::process};

/// Keys of nft's JSON that change without the structure being another.
const VOLATILE: [&str; 5] = ["metainfo", "handle", "elem", "packets", "bytes"];

/// Lists the structure as text to be compared.
///
/// # Errors
/// [`NftFailure::Text`] if nft fails, [`NftFailure::Unreadable`] if it prints no JSON.
pub(super) fn list() -> Result<String, NftFailure> {
    let argv = ["nft", "-j", "list", "table", "bridge", CUT_TABLE];
    let output = process::run(&argv, &[], &[])
        .map_err(|source| NftFailure::Text { operation: "list the cut table", source })?;
    lasting(&output.stdout)
}

fn lasting(json: &[u8]) -> Result<String, NftFailure> {
    let mut value: Value = serde_json::from_slice(json)
        .map_err(|error| NftFailure::Unreadable(format!("nft's JSON: {error}")))?;
    strip(&mut value);
    Ok(value.to_string())
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

    #[test]
    fn elements_counts_and_handles_are_no_structure_but_rules_are() {
        let listed = |packets: u32, element: &str, verdict: &str| {
            let json = format!(
                r#"{{"nftables":[{{"counter":{{"name":"cut_rx","packets":{packets}}}}},
                {{"set":{{"name":"cut_tenant","elem":[{element}],"handle":3}}}},
                {{"rule":{{"chain":"input","expr":[{{"{verdict}":null}}]}}}}]}}"#
            );
            lasting(json.as_bytes()).expect("JSON")
        };
        assert_eq!(listed(0, "", "drop"), listed(7, "257", "drop"));
        assert_ne!(listed(0, "", "drop"), listed(0, "", "accept"));
    }
}
