//! The one text of a JSON value that digests are of.

use serde_json::Value;

/// The text of a value with the members of its objects in the order of their names.
///
/// Whether serde_json keeps the order in which members were put in is decided for the whole build
/// by whichever crate asks for it, so a digest of `to_string()` would not be the same in every
/// build.
#[must_use]
pub fn text(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn the_order_in_which_members_were_put_in_makes_no_difference() {
        let value = json!({"b": [{"z": 1, "a": 2}], "a": null});
        assert_eq!(text(value), r#"{"a":null,"b":[{"a":2,"z":1}]}"#);
    }
}
