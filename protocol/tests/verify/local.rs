//! Statements on cuts that a person ordered on the host itself: what they prove is said in words,
//! and neither words nor act can be exchanged under a true digest.

use tenure_protocol::{
    evidence::predicate::{
        LocalOrder, NetworkCut,
        network_cut::{Direction, NetworkCutMeasured},
    },
    id::CutId,
};

use super::*;

fn statement(direction: Direction) -> Predicate {
    let measured = NetworkCutMeasured {
        mark: 0x101,
        earliest: at(1),
        latest: at(2),
        took_ns: 1,
        cut_read_back: Some(direction == Direction::Cut),
        seal: None,
        proof: None,
    };
    let cut = CutId::from_uuid(uuid(9));
    let mut cut = NetworkCut::new(origin(), cut, direction, measured, Vec::new());
    let by = Some("wang.lei".to_owned());
    let (login, reason) = ("root".to_owned(), "flood".to_owned());
    let order = LocalOrder { login, uid: 0, by, reason, at: at(0) };
    cut.origin.order.digest = order.digest(&cut.act());
    Predicate::NetworkCut(cut.ordered_locally(order))
}

fn exit_with(bytes: Vec<u8>) -> Exit {
    let mut envelopes = Exit::good().envelopes;
    envelopes.push((Kind::NetworkCut, bytes));
    Exit::of(envelopes)
}

fn changed(from: &str, to: &str) -> Vec<u8> {
    let bytes = envelope(statement(Direction::Cut), &host_key());
    let payload = Envelope::from_bytes(&bytes).expect("an envelope").payload;
    let text = String::from_utf8(payload).expect("JSON");
    assert!(text.contains(from), "{from} is not in {text}");
    let text = text.replacen(from, to, 1);
    Envelope::sign(PAYLOAD_TYPE, text.into_bytes(), &host_key()).to_bytes()
}

#[test]
fn the_verifier_says_who_ordered_it_where_and_why_and_what_nobody_checked() {
    for (direction, what) in [(Direction::Cut, "a cut"), (Direction::Restore, "an end of a cut")] {
        let verdict = verdict(&exit_with(envelope(statement(direction), &host_key())).bundle());
        assert!(verdict.ok, "{:#?}", verdict.findings);
        let said = |one: &&tenure_protocol::evidence::verify::Finding| {
            one.code == Code::Honesty && one.subject.contains("network-cut")
        };
        let found = verdict.findings.iter().find(said).expect("looked at");
        for words in [
            what,
            "that no controller ordered",
            "\"root\" (user 0)",
            "the name \"wang.lei\", which nobody checked",
            "\"flood\"",
            "was seen in force",
        ] {
            assert!(found.sentence.contains(words), "{words:?} is not in {:?}", found.sentence);
        }
    }
}

#[test]
fn changed_words_a_changed_act_and_words_that_are_none_are_found() {
    let not_its_own = "is not the one that its origin names";
    for (from, to, sentence) in [
        ("\"reason\":\"flood\"", "\"reason\":\"drill\"", not_its_own),
        ("\"login\":\"root\"", "\"login\":\"li\"", not_its_own),
        ("\"by\":\"wang.lei\"", "\"by\":null", not_its_own),
        ("\"reason\":\"flood\"", "\"reason\":\"\"", "the reason is"),
        ("\"uid\":0", "\"uid\":0,\"more\":1", "unknown field"),
        ("\"inForce\":true", "\"inForce\":false", "is not what it measured"),
    ] {
        assert_found(&exit_with(changed(from, to)).bundle(), Code::Honesty, sentence);
    }
}

#[test]
fn no_other_statement_can_name_a_local_order() {
    let good = envelope(statement(Direction::Cut), &host_key());
    let payload = Envelope::from_bytes(&good).expect("an envelope").payload;
    let text = String::from_utf8(payload).expect("JSON");
    let local = text.split("\"local\":").nth(1).expect("there").split('}').next().expect("ended");
    let member = format!("\"local\":{local}}},\"intent\":");
    let forged = forged(Kind::MediaWipe, "\"intent\":", &member);
    assert_found(&with_envelope(Kind::MediaWipe, forged).bundle(), Code::Honesty, "unknown field");
}
