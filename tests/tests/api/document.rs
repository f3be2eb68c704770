//! The document, the table of routes and the committed copy.

use serde_json::Value;
use tenure_controller::http::{openapi, policy::Policy, route::TABLE};

#[test]
fn the_document_the_table_and_the_committed_copy_are_one() {
    let text = openapi::text(&Policy::load().expect("the shipped policy"));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let mut described: Vec<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, verbs)| {
            let verbs = verbs.as_object().expect("verbs").keys();
            verbs.map(move |verb| (path.clone(), verb.clone()))
        })
        .collect();
    let mut ruled: Vec<(String, String)> = TABLE
        .iter()
        .map(|route| {
            let verb = route.verb.as_str().to_lowercase();
            (route.path.replace("{*path}", "{path}"), verb)
        })
        .collect();
    described.sort();
    ruled.sort();
    assert_eq!(described, ruled);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../controller/openapi.json");
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    if committed != text {
        let beside = std::env::temp_dir().join("openapi.json");
        #[allow(clippy::disallowed_methods, reason = "a copy to look at, beside the failure")]
        std::fs::write(&beside, &text).expect("written");
        panic!("the API has changed: compare {} with {file}, and copy it", beside.display());
    }
}

/// What stands in the document without a description: parameters, headers, operations, schemas and
/// their properties, however deep.
fn undescribed(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let here = format!("{at}/{name}");
                if matches!(name.as_str(), "properties" | "headers" | "schemas") {
                    // Names of these are no keywords.
                    for (name, one) in member.as_object().into_iter().flatten() {
                        let here = format!("{here}/{name}");
                        if says_nothing(one, "description") {
                            found.push(here.clone());
                        }
                        undescribed(one, &here, found);
                    }
                } else if !matches!(name.as_str(), "example" | "default" | "enum") {
                    undescribed(member, &here, found);
                }
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                let here = format!("{at}/{number}");
                if at.ends_with("/parameters") && says_nothing(item, "description") {
                    found.push(format!("{here}: {}", item["name"]));
                }
                undescribed(item, &here, found);
            }
        }
        _ => {}
    }
}

fn says_nothing(value: &Value, member: &str) -> bool {
    value[member].as_str().is_none_or(|text| text.trim().is_empty())
}

#[test]
fn every_operation_parameter_header_schema_and_property_is_described() {
    let text = openapi::text(&Policy::load().expect("the shipped policy"));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    undescribed(&document, "", &mut found);
    for (path, verbs) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in verbs.as_object().expect("verbs") {
            if says_nothing(operation, "summary") || says_nothing(operation, "description") {
                found.push(format!("{verb} {path}"));
            }
        }
    }
    assert!(found.is_empty(), "say what these are: {found:#?}");
    let one = serde_json::json!({"schemas": {"a": {"description": "b", "properties": {"c": {}}}}});
    undescribed(&one, "", &mut found);
    assert_eq!(found, ["/schemas/a/properties/c"]);
}
