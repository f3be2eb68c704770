use serde_json::json;

use super::{
    checklist::{Item, ItemState},
    *,
};

const EXAMPLE: &str = include_str!("../../../cli/src/application.example.json");

fn example() -> Value {
    serde_json::from_str(EXAMPLE).expect("JSON")
}

fn check(application: Value) -> Result<(), String> {
    let application: Application = serde_json::from_value(application).expect("its typed part");
    let forms = Forms::new(None).expect("the shipped form");
    forms.check(&application).map_err(|refusal| refusal.sentence)
}

#[test]
fn the_example_satisfies_the_shipped_form() {
    assert_eq!(check(example()), Ok(()));
}

#[test]
fn every_wrong_field_is_named_by_its_pointer_and_its_title() {
    let cases: [(&str, Value, &str); 12] = [
        ("/form/applicant/credit_code", json!("113600000145012341"), "GB 32100"),
        ("/form/applicant/department_head/email", json!("nobody"), "e-mail address"),
        ("/form/backup/rpo_hours", json!(-1), "恢复点目标"),
        ("/form/system/planned_go_live", json!("soon"), "2026-10-20"),
        ("/form/system/mlps_level", json!(6), "MLPS level"),
        ("/form/network/zone", json!("moon"), "Zone"),
        ("/form/network/flows/0/ports", json!("all"), "Ports"),
        ("/form/declarations/not_classified", json!(false), "非涉密"),
        ("/form/security/measures", json!([]), "Security services"),
        ("/form/version", json!("0"), "表单版本"),
        ("/contacts/1/mobile", json!("12345"), "Mobile"),
        ("/contacts/0/designated", json!([]), "指定接收系统"),
    ];
    for (pointer, value, words) in cases {
        let mut form = example();
        *form.pointer_mut(pointer).expect(pointer) = value;
        let sentence = check(form).expect_err(pointer);
        assert!(sentence.contains(pointer), "{pointer}: {sentence}");
        assert!(sentence.contains(words), "{pointer}: {sentence}");
        assert!(sentence.contains("/v1/application-forms/1"), "{sentence}");
    }
}

#[test]
fn what_is_missing_or_too_much_is_named_itself() {
    for (parent, name) in [
        ("/form", "supplier"),
        ("/form/applicant", "security_contact"),
        ("/form/declarations", "responsible"),
        ("/contacts/0", "mobile"),
        ("/contacts/1", "available"),
    ] {
        let mut form = example();
        let members = form.pointer_mut(parent).and_then(Value::as_object_mut).expect(parent);
        members.remove(name).expect(name);
        let sentence = check(form).expect_err(name);
        assert!(sentence.contains(&format!("{parent}/{name} (")), "{sentence}");
        assert!(sentence.contains("is missing: add it"), "{sentence}");
    }
    let mut form = example();
    form["form"]["backup"]["colour"] = json!("red");
    let sentence = check(form).expect_err("one field too many");
    assert!(sentence.contains("/form/backup/colour is no field"), "{sentence}");
}

#[test]
fn one_contact_is_not_enough_and_a_designated_system_has_to_be_given() {
    let mut form = example();
    form["contacts"].as_array_mut().expect("contacts").pop();
    let sentence = check(form).expect_err("one contact");
    assert!(sentence.contains("/contacts (应急联系人 / Emergency contacts)"), "{sentence}");
    let mut form = example();
    form["contacts"][1]["designated"] = json!(["webhook"]);
    let sentence = check(form).expect_err("no webhook is given");
    assert!(sentence.contains("/contacts/1/webhook"), "{sentence}");
}

#[test]
fn no_refusal_shows_a_secret() {
    let mut form = example();
    form["contacts"][0]["webhook"]["secret"] = json!("hunter2");
    let sentence = check(form).expect_err("no secret of the right kind");
    assert!(sentence.contains("/contacts/0/webhook/secret"), "{sentence}");
    assert!(!sentence.contains("hunter2"), "{sentence}");
}

#[test]
fn a_check_character_holds_for_its_code_alone() {
    // Codes of well-known organisations, as the public register has them.
    for code in ["91110000802100433B", "9144030071526726XG", "91440300708461136T"] {
        assert!(is_credit_code(code), "{code}");
        for at in 0..18 {
            let mut other: Vec<u8> = code.bytes().collect();
            other[at] = if other[at] == b'3' { b'4' } else { b'3' };
            let other = String::from_utf8(other).expect("ASCII");
            assert!(!is_credit_code(&other), "{other}");
        }
    }
    for text in ["", "9", "91110000802100433b", "9111000080210043IB", "91110000802100433B1", "统"]
    {
        assert!(!is_credit_code(text), "{text}");
    }
}

#[test]
fn a_sites_own_form_takes_the_place_of_the_shipped_one_which_stays_readable() {
    let own = r#"{"type":"object","properties":{"form":{"type":"object","required":["colour"],
        "properties":{"version":{"const":"jx-2"}}}}}"#;
    let forms = Forms::new(Some(own)).expect("a form");
    assert_eq!(forms.version(), "jx-2");
    assert!(forms.get("jx-2").is_some() && forms.get("1").is_some() && forms.get("2").is_none());
    let application: Application = serde_json::from_str(EXAMPLE).expect("typed");
    let sentence = forms.check(&application).expect_err("no colour").sentence;
    assert!(sentence.contains("/form/colour is missing"), "{sentence}");
    assert!(sentence.contains("/v1/application-forms/jx-2"), "{sentence}");
}

#[test]
fn a_form_that_is_none_or_takes_the_shipped_version_is_refused() {
    let error = |text: &str| Forms::new(Some(text)).expect_err("refused");
    assert!(matches!(error("{"), FormError::Json(_)));
    assert_eq!(error("{}"), FormError::Version);
    let with = |version: &str, rest: &str| {
        let version = json!({"form": {"properties": {"version": {"const": version}}}});
        format!(r#"{{"properties":{version}{rest}}}"#)
    };
    assert_eq!(error(&with("a/b", "")), FormError::Version);
    assert_eq!(error(&with("1", "")), FormError::Taken("1".to_owned()));
    assert!(matches!(error(&with("2", r#","type":"nothing""#)), FormError::Schema(_)));
    let remote = r#","$ref":"https://schema.example/form.json""#;
    assert!(matches!(error(&with("2", remote)), FormError::Schema(_)), "nothing is fetched");
}

#[test]
fn the_checklist_has_every_field_of_the_form_with_what_is_there_of_it() {
    let forms = Forms::new(None).expect("the shipped form");
    let of = |application: &Value| {
        let application: Application =
            serde_json::from_value(application.clone()).expect("its typed part");
        (forms.checklist(&application), forms.complete(&application))
    };
    let state = |items: &[Item], pointer: &str| {
        let item = items.iter().find(|item| item.pointer == pointer);
        item.map(|item| (item.state, item.required))
    };
    let (items, complete) = of(&example());
    assert_eq!(complete, Ok(()));
    assert!(items.len() > 60, "{}", items.len());
    for pointer in ["/form/declarations/eligible", "/contacts/1/mobile", "/form/system/approval"] {
        assert_eq!(state(&items, pointer), Some((ItemState::Given, true)), "{pointer}");
    }
    let mut spoilt = example();
    spoilt["form"]["system"].as_object_mut().expect("fields").remove("approval");
    spoilt["form"]["system"].as_object_mut().expect("fields").remove("mlps_filing");
    spoilt["form"]["declarations"]["eligible"] = json!(false);
    spoilt["form"]["surplus"] = json!("x");
    let (items, complete) = of(&spoilt);
    let approval = state(&items, "/form/system/approval");
    assert_eq!(approval, Some((ItemState::Absent, true)));
    let filing = state(&items, "/form/system/mlps_filing");
    assert_eq!(filing, Some((ItemState::Absent, true)), "at this level it is required");
    let volumes = state(&items, "/instances/0/volumes_mib");
    assert_eq!(volumes, Some((ItemState::LeftOut, false)));
    let eligible = state(&items, "/form/declarations/eligible");
    assert_eq!(eligible, Some((ItemState::Wrong, true)));
    let refusal = complete.expect_err("it is not complete");
    assert_eq!(refusal.code, Code::Incomplete);
    for words in ["/form/system/approval 立项批复文件", "is missing", "/form/declarations/eligible"]
    {
        assert!(refusal.sentence.contains(words), "{refusal}");
    }
    assert!(!refusal.sentence.contains("volumes_mib"), "{refusal}");
}

#[test]
fn an_application_is_judged_by_the_form_that_it_was_made_on() {
    let own = r#"{"type": "object", "properties": {"form": {"type": "object",
        "required": ["seal"], "properties": {"version": {"const": "own-1"},
        "seal": {"title": "公章 / Seal"}}}}}"#;
    let forms = Forms::new(Some(own)).expect("a form");
    let mut application: Application = serde_json::from_value(example()).expect("its typed part");
    assert_eq!(forms.complete(&application), Ok(()), "by the shipped form");
    application.form = json!({"version": "own-1"});
    let refusal = forms.complete(&application).expect_err("no seal");
    assert!(refusal.sentence.contains("公章"), "{refusal}");
}
