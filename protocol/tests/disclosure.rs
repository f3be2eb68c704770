//! Bundles that hide a statement, or the outcome of a run: what the ledger has, they must have.

#![allow(missing_docs, dead_code, unreachable_pub, reason = "a test with a shared fixture")]

mod fixture;

use fixture::*;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        predicate::{Kind, Predicate, Wipe, WipeAccount, WipeIntent},
        verify::{Code, verify_bundle},
    },
};

/// The verdict is bad, and for this reason among others.
fn assert_found(bundle: &[u8], code: Code, sentence: &str) {
    let verdict = verify_bundle(bundle, &anchors());
    let bad: Vec<_> = verdict.findings.iter().filter(|finding| !finding.ok).collect();
    let found = bad.iter().any(|one| one.code == code && one.sentence.contains(sentence));
    assert!(!verdict.ok && found, "{code:?} {sentence:?} is not among {bad:#?}");
}

#[test]
fn a_statement_that_the_ledger_has_and_the_bundle_hides_is_found() {
    // A second attempt found marks again: its envelopes are left out, and the manifest is silent.
    let hidden = Digest::of(b"a failed second wipe");
    let signer = public(&host_key()).id();
    for kind in Kind::ALL {
        let mut exit = Exit::good();
        exit.events.push((kind.name().to_owned(), signer, hidden));
        assert_found(&exit.bundle(), Code::Disclosed, "the bundle does not");
    }
    for gone in 0..Exit::good().envelopes.len() {
        let mut exit = Exit::good();
        exit.envelopes.remove(gone);
        assert_found(&exit.bundle(), Code::Disclosed, "the bundle does not");
    }
    // The same bytes under another kind are not that statement.
    let mut exit = Exit::good();
    let known = exit.events[4].2;
    exit.events.push((Kind::MemoryWipe.name().to_owned(), signer, known));
    assert_found(&exit.bundle(), Code::Disclosed, "the bundle does not");
    // What is no statement needs no envelope.
    let mut exit = Exit::good();
    exit.events.push(("tick".to_owned(), signer, hidden));
    assert!(verify_bundle(&exit.bundle(), &anchors()).ok);
}

#[test]
fn an_intent_without_an_end_is_found() {
    // After the pass comes a second intent, and nothing is told of what came of it.
    let mut second = run();
    second.attempt = 2;
    let targets = vec![volume(), memory()];
    let again = WipeIntent { origin: origin(), run: second.clone(), at: at(70), targets };
    let again = envelope(Predicate::WipeIntent(again), &host_key());
    let said = Digest::of(&again);
    let mut envelopes = Exit::good().envelopes;
    envelopes.push((Kind::WipeIntent, again));
    let bundle = Exit::of(envelopes.clone()).bundle();
    assert_found(&bundle, Code::Intent, "nothing stated after it tells");
    // With one end of a volume's two it is still open, with all of them it is closed.
    let media =
        Wipe::new(WipeAccount { run: second.clone(), ..account(said, volume(), media_measured()) });
    envelopes.push((Kind::MediaWipe, envelope(Predicate::MediaWipe(media), &host_key())));
    let bundle = Exit::of(envelopes.clone()).bundle();
    assert_found(&bundle, Code::Intent, &volume().name());
    let key =
        Wipe::new(WipeAccount { run: second.clone(), ..account(said, volume(), key_measured()) });
    envelopes.push((Kind::KeyErasure, envelope(Predicate::KeyErasure(key), &host_key())));
    let wipe = Wipe::new(WipeAccount { run: second, ..account(said, memory(), memory_measured()) });
    envelopes.push((Kind::MemoryWipe, envelope(Predicate::MemoryWipe(wipe), &host_key())));
    let verdict = verify_bundle(&Exit::of(envelopes).bundle(), &anchors());
    assert!(verdict.ok, "{:#?}", verdict.findings);
}
