//! What tenurectl prints as examples is what the controller takes.

use std::collections::BTreeMap;

use tenure_controller::core::{
    admission, fleet::Image, form::Forms, record::Content, tenant::Application,
};
use tenure_protocol::digest::Digest;

#[test]
fn the_controller_accepts_the_example_that_tenurectl_prints() {
    let text = include_str!("../../cli/src/application.example.json");
    let application: Application = serde_json::from_str(text).expect("the form has these fields");
    let image = Image {
        name: application.instances[0].image.clone(),
        kernel: Digest::of(b"kernel"),
        initrd: Digest::of(b"initrd"),
        cmdline: String::new(),
    };
    assert_eq!(admission::application(&application, &[image]), Ok(()));
    let forms = Forms::new(None).expect("the shipped form");
    assert_eq!(forms.check(&application), Ok(()));
}

#[test]
fn an_example_with_an_unknown_field_would_be_refused() {
    let text = include_str!("../../cli/src/application.example.json");
    let text = text.replacen("\"customer\"", "\"consumer\"", 1);
    assert!(serde_json::from_str::<Application>(&text).is_err());
}

#[test]
fn the_controller_reads_the_records_that_tenurectl_prints_each_of_its_kind() {
    let text = include_str!("../../cli/src/record.examples.json");
    let examples: BTreeMap<String, Content> = serde_json::from_str(text).expect("records");
    for (name, content) in &examples {
        assert_eq!(content.kind().as_str(), name);
    }
    assert_eq!(examples.len(), 9, "one of each kind");
}
