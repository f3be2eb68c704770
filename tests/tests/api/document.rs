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
