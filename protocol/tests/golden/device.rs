//! What is stated of disks that leave service, and the JSON schemas of it.

use tenure_protocol::evidence::{
    dsse,
    predicate::{
        Category, DeviceOrigin, DeviceSanitize, DeviceSanitizeIntent, DeviceSanitizeMeasured,
        LocalOrder, Method, NotMeasured, SanitizeAccount, WipeResult,
        device::{Attempt, Device, Part},
        device_sanitize::{Commanded, DeviceWord, Sample, Sighting, State, Stop},
    },
};

use super::*;

fn disk() -> Device {
    Device {
        interface: Method::NvmeSanitizeBlock.interface(),
        model: "WIDGET 9".to_owned(),
        serial: "S-1".to_owned(),
        firmware: "1.0".to_owned(),
    }
}

fn ordered() -> DeviceOrigin {
    let (by, reason) = (Some("wang.lei".to_owned()), "it leaves service".to_owned());
    let order = LocalOrder { login: "root".to_owned(), uid: 0, by, reason, at: at(0) };
    let origin = origin();
    DeviceOrigin { order, host: origin.host, agent: origin.agent, clock: origin.clock }
}

fn parts() -> Vec<Part> {
    vec![Part { unit: 1, size_bytes: 1 << 30 }, Part { unit: 2, size_bytes: 1 << 31 }]
}

fn announced() -> Predicate {
    Predicate::DeviceSanitizeIntent(DeviceSanitizeIntent {
        origin: ordered(),
        device: disk(),
        attempt: Attempt { number: 2, supersedes: Some(Digest::of(b"intent 1")) },
        at: at(1),
        method: Method::NvmeSanitizeBlock,
        parts: parts(),
    })
}

fn sighting(seconds: i64, state: State, word: u64) -> Sighting {
    let progress_ppm = (state == State::InProgress).then_some(500_000);
    Sighting { at: at(seconds), state, progress_ppm, word }
}

fn sanitized() -> SanitizeAccount {
    let command = Commanded {
        unit: 1,
        sent_at: at(2),
        answered_at: at(2),
        took_ns: 1_000_000,
        accepted: true,
        answer: "success".to_owned(),
    };
    SanitizeAccount {
        origin: ordered(),
        device: disk(),
        attempt: Attempt { number: 1, supersedes: None },
        intent: Digest::of(b"intent"),
        method: Method::NvmeSanitizeBlock,
        parts: parts(),
        measured: DeviceSanitizeMeasured {
            stop: Stop::Done,
            span: span(),
            interruptions: 0,
            before: Some(sighting(1, State::Completed, 0x101 << 32 | 2)),
            commands: vec![command],
            sightings: vec![
                sighting(3, State::InProgress, 2 << 32 | 2),
                sighting(9, State::Completed, 0x101 << 32 | 2),
            ],
            same_device: true,
            outside_bytes: 0,
            sample: Some(Sample {
                places: 512,
                place_bytes: 4096,
                unchanged: 0,
                uniform: 512,
                unreadable: 0,
            }),
        },
        device_reported: DeviceWord {
            methods: vec![Method::NvmeSanitizeBlock, Method::NvmeFormatUserData],
            capacity_bytes: Some(3 << 30),
            estimate_s: Some(60),
            status_before: Some("ffff0101".to_owned()),
            status_after: Some("ffff0101".to_owned()),
        },
        not_measured: vec![NotMeasured {
            what: "whether the firmware erased what it said it did".to_owned(),
            reason: "nothing outside the device can see".to_owned(),
        }],
    }
}

#[test]
fn statements_on_disks_keep_their_bytes_and_match_their_schemas() {
    let done = Predicate::DeviceSanitize(DeviceSanitize::new(sanitized()));
    for (name, predicate) in [("device-sanitize-intent", announced()), ("device-sanitize", done)] {
        let statement = Statement::new(predicate);
        let payload = statement.to_payload().expect("honest");
        assert_golden(&format!("statement-{name}"), &payload);
        assert_eq!(Statement::from_payload(&payload), Ok(statement), "{name}");
        let at = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{name}.v0.1.json"));
        let read = fs::read(&at).expect("read");
        let schema = serde_json::from_slice(&read).expect("JSON");
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let mut value: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        let faults: Vec<String> =
            validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new(), "{name}");
        value["predicate"]["extra"] = 1.into();
        assert!(!validator.is_valid(&value), "{name}: an unknown field");
    }
}

#[test]
fn a_pass_that_the_disk_did_not_show_cannot_be_stated_or_verified() {
    let good = DeviceSanitize::new(sanitized());
    assert_eq!(good.conclusion().result, WipeResult::Pass);
    assert_eq!(good.conclusion().category, Category::Purge);
    // The status of last year: nothing under way was seen, and the word is as it was.
    let mut last_year = sanitized();
    last_year.measured.sightings.remove(0);
    let stated = DeviceSanitize::new(last_year);
    assert_eq!(stated.conclusion().result, WipeResult::Failed);
    assert_eq!(stated.conclusion().category, Category::None);

    // Nor does it show an erasure that somebody wrote to the disk meanwhile.
    let mut written = sanitized();
    written.measured.sightings = vec![sighting(9, State::Completed, 1 << 32 | 2)];
    assert_eq!(DeviceSanitize::new(written.clone()).conclusion().result, WipeResult::Failed);
    written.measured.before = written.measured.sightings.pop();
    written.measured.sightings = vec![sighting(9, State::Completed, 0x101 << 32 | 2)];
    assert_eq!(DeviceSanitize::new(written).conclusion().result, WipeResult::Pass);

    let payload = Statement::new(Predicate::DeviceSanitize(good)).to_payload().expect("honest");
    let text = String::from_utf8(payload).expect("UTF-8");
    let opens = |text: &str| {
        let kind = tenure_protocol::evidence::statement::PAYLOAD_TYPE;
        let envelope = dsse::Envelope::sign(kind, text.as_bytes().to_vec(), &host_key());
        dsse::open_statement(&envelope.to_bytes(), &public(&host_key())).map(|_| ())
    };
    assert_eq!(opens(&text), Ok(()));
    for (from, to) in [
        ("\"state\":\"in-progress\"", "\"state\":\"completed\""),
        ("\"stop\":\"done\"", "\"stop\":\"lost\""),
        ("\"unchanged\":0", "\"unchanged\":1"),
        ("\"sameDevice\":true", "\"sameDevice\":false"),
        ("\"accepted\":true", "\"accepted\":false"),
        ("\"method\":\"nvme-sanitize-block\"", "\"method\":\"nvme-sanitize-crypto\""),
        ("\"method\":\"nvme-sanitize-block\"", "\"method\":\"scsi-sanitize-block\""),
        ("\"number\":1", "\"number\":0"),
        ("\"unit\":2,", "\"unit\":1,"),
        ("\"serial\":\"S-1\"", "\"serial\":\" \""),
    ] {
        let forged = text.replacen(from, to, 1);
        assert_ne!(forged, text, "{from}");
        assert!(opens(&forged).is_err(), "{to}");
    }
}

#[test]
fn a_statement_on_a_disk_is_no_part_of_a_tenants_exit() {
    use tenure_protocol::evidence::{predicate, verify::verify_bundle};
    let done = Predicate::DeviceSanitize(DeviceSanitize::new(sanitized()));
    let mut envelopes = Exit::good().envelopes;
    envelopes.push((predicate::Kind::DeviceSanitize, envelope(done, &host_key())));
    let verdict = verify_bundle(&Exit::of(envelopes).bundle(), &anchors());
    assert!(!verdict.ok);
    assert!(verdict.findings.iter().any(|one| one.sentence.contains("not about this tenant")));
}
