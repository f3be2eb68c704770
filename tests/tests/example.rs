//! What tenurectl prints as an example is an application that the controller takes.

use tenure_controller::core::{admission, fleet::Image, tenant::Application};
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
}

#[test]
fn an_example_with_an_unknown_field_would_be_refused() {
    let text = include_str!("../../cli/src/application.example.json");
    let text = text.replacen("\"customer\"", "\"consumer\"", 1);
    assert!(serde_json::from_str::<Application>(&text).is_err());
}
