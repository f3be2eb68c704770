//! Bundles, good and forged. A forgery is one change to a good one, and must be found for its own
//! reason.

#![allow(missing_docs, dead_code, unreachable_pub, reason = "a test with a shared fixture")]

mod fixture;
#[path = "verify/joining.rs"]
mod joining;
#[path = "verify/local.rs"]
mod local;
#[path = "verify/withheld.rs"]
mod withheld;

use fixture::*;
use proptest::prelude::*;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        archive,
        bundle::{self, ProvenEntry},
        dsse,
        dsse::Envelope,
        entry::Entry,
        predicate::{
            Conclusion, Kind, Predicate, ReadMode, Wipe, WipeIntent, WipeResult,
            conclusion::Ending,
            configuration::{Configuration, ConfigurationMeasured, InstanceMeasured},
            memory_wipe::ResidueState,
            tenant_exit::{Gap, HostKey, InventoryItem},
        },
        statement::PAYLOAD_TYPE,
        verify::{Code, Verdict, verify_bundle},
    },
    generation::Generation,
    id::{HostId, InstanceId},
};

fn verdict(bundle: &[u8]) -> Verdict {
    verify_bundle(bundle, &anchors())
}

/// The verdict is bad, and for this reason among others.
fn assert_found(bundle: &[u8], code: Code, sentence: &str) {
    let verdict = verdict(bundle);
    let bad: Vec<_> = verdict.findings.iter().filter(|finding| !finding.ok).collect();
    let found = bad.iter().any(|one| one.code == code && one.sentence.contains(sentence));
    assert!(!verdict.ok && found, "{code:?} {sentence:?} is not among {bad:#?}");
}

/// The good exit, with one statement replaced by another signed one, logged in its place.
fn with_envelope(kind: Kind, bytes: Vec<u8>) -> Exit {
    let replace = |(at, old): (Kind, Vec<u8>)| (at, if at == kind { bytes.clone() } else { old });
    let envelopes = Exit::good().envelopes.into_iter().map(replace).collect();
    Exit::of(envelopes)
}

fn intent_digest() -> Digest {
    Digest::of(&Exit::good().envelopes[0].1)
}

/// Signed JSON that no constructor of ours would make: `from` replaced by `to` in an honest one.
fn forged(kind: Kind, from: &str, to: &str) -> Vec<u8> {
    let good = Exit::good();
    let (_, bytes) = good.envelopes.iter().find(|(at, _)| *at == kind).expect("there");
    let payload = Envelope::from_bytes(bytes).expect("an envelope").payload;
    let text = String::from_utf8(payload).expect("JSON");
    assert!(text.contains(from), "{from} is not in {text}");
    let forged = text.replacen(from, to, 1);
    Envelope::sign(PAYLOAD_TYPE, forged.into_bytes(), &host_key()).to_bytes()
}

#[test]
fn a_good_bundle_is_verified_and_each_question_was_asked() {
    let verdict = verdict(&Exit::good().bundle());
    assert!(verdict.ok, "{:#?}", verdict.findings);
    for code in [
        Code::Container,
        Code::Manifest,
        Code::Gaps,
        Code::Members,
        Code::Signature,
        Code::Honesty,
        Code::Checkpoint,
        Code::Inclusion,
        Code::HostKey,
        Code::Sequence,
        Code::Logged,
        Code::Disclosed,
        Code::Intent,
        Code::Approvals,
        Code::Coverage,
    ] {
        assert!(verdict.findings.iter().any(|one| one.code == code), "{code:?}");
    }
}

#[test]
fn legal_time_that_was_staged_is_told_whichever_way_it_was_moved() {
    let staged = |demo_offset_ms| {
        let parts = bundle::BundleParts { demo_offset_ms, ..Exit::good().parts() };
        let verdict = verdict(&bundle::build(parts, &attestation_key()).expect("built"));
        assert!(verdict.ok, "{:#?}", verdict.findings);
        let found = verdict.findings.into_iter().find(|one| one.code == Code::DemoClock);
        found.map(|found| found.sentence)
    };
    assert_eq!(staged(None), None);
    for (offset_ms, told) in [
        (0, "0 days and 0 ms ahead"),
        (-86_400_001, "1 days and 1 ms behind"),
        (172_800_000, "2 days and 0 ms ahead"),
    ] {
        let sentence = staged(Some(offset_ms)).expect("told");
        assert!(sentence.contains("DEMONSTRATION") && sentence.contains(told), "{sentence}");
    }
}

#[test]
fn other_anchors_verify_nothing() {
    let bundle = Exit::good().bundle();
    let mut other = anchors();
    other.attestation_key = public(&key(9));
    assert!(!verify_bundle(&bundle, &other).ok);
    let mut other = anchors();
    other.ledger_key = format!("{}", anchors().ledger_key).parse().expect("the same");
    assert!(verify_bundle(&bundle, &other).ok);
    let stranger = tenure_protocol::evidence::note::LedgerKey::new(LEDGER, key(9).verifying_key());
    other.ledger_key = stranger.expect("a name");
    assert!(!verify_bundle(&bundle, &other).ok);
}

#[test]
fn a_pass_over_facts_that_are_none_is_refused_by_the_constructor_and_by_the_verifier() {
    let mut measured = media_measured();
    measured.read_backs[1].mismatched_bytes = 1;
    let wipe = Wipe::new(account(intent_digest(), volume(), measured));
    assert_eq!(wipe.conclusion().result, WipeResult::Failed);
    assert_eq!(wipe.conclusion().coverage_ppm, 999_999);

    let kind = Kind::MediaWipe;
    let bytes = forged(kind, "\"mismatchedBytes\":0", "\"mismatchedBytes\":4096");
    assert!(dsse::open_statement(&bytes, &public(&host_key())).is_err());
    assert_found(&with_envelope(kind, bytes).bundle(), Code::Honesty, "it states Pass");
    let bytes = forged(kind, "\"mode\":\"full\"", "\"mode\":\"sampled\"");
    assert_found(&with_envelope(kind, bytes).bundle(), Code::Honesty, "it states Pass");
    let kind = Kind::MemoryWipe;
    let bytes = forged(kind, "\"vmmDead\":true", "\"vmmDead\":false");
    assert_found(&with_envelope(kind, bytes).bundle(), Code::Honesty, "could still write");
    let kind = Kind::KeyErasure;
    let bytes = forged(kind, "\"escrow\":\"none\"", "\"escrow\":\"unknown\"");
    assert_found(&with_envelope(kind, bytes).bundle(), Code::Honesty, "somebody else");
    let bytes = forged(kind, "\"category\":\"clear\"", "\"category\":\"purge\"");
    assert_found(&with_envelope(kind, bytes).bundle(), Code::Honesty, "it states Pass");
    let bytes = forged(kind, "\"claimed\":", "\"extra\":1,\"claimed\":");
    assert_found(&with_envelope(kind, bytes).bundle(), Code::Honesty, "unknown field");
    let bytes = forged(kind, "\"bytes\":2097152", "\"bytes\":9007199254740992");
    assert_found(&with_envelope(kind, bytes).bundle(), Code::Honesty, "2^53");
}

#[test]
fn each_shortcoming_of_a_media_wipe_takes_its_pass_away() {
    type Change = fn(&mut tenure_protocol::evidence::predicate::MediaWipeMeasured);
    let changes: [(&str, Change); 15] = [
        ("coverage", |m| m.passes[0].bytes -= 1),
        ("write errors", |m| m.passes[1].error_bytes = 512),
        ("no passes", |m| m.passes.truncate(0)),
        ("order of passes", |m| m.passes.reverse()),
        ("read-back too short", |m| m.read_backs[1].bytes -= 512),
        ("unreadable", |m| m.read_backs[0].unreadable_bytes = 512),
        ("sampled", |m| m.read_backs[1].mode = ReadMode::Sampled),
        ("not direct", |m| m.read_backs[1].direct = false),
        ("extents moved", |m| {
            m.extents_after.as_mut().expect("there").digest = Digest::of(b"moved");
        }),
        ("extents not asked again", |m| m.extents_after = None),
        ("no flush", |m| m.device_cache_flushed = false),
        ("a hole", |m| m.file_bytes += 512),
        ("a writer", |m| m.writers.open_files = 1),
        ("no device", |m| m.topology.clear()),
        ("journalled data", |m| m.file_system.mount_options.push_str(",data=journal")),
    ];
    for (what, change) in changes {
        let mut measured = media_measured();
        change(&mut measured);
        let Conclusion { result, .. } =
            Wipe::new(account(intent_digest(), volume(), measured)).conclusion().clone();
        assert_eq!(result, WipeResult::Failed, "{what}");
    }
    for (ending, result) in
        [(Ending::Aborted, WipeResult::Aborted), (Ending::Absent, WipeResult::AlreadyAbsent)]
    {
        let measured =
            tenure_protocol::evidence::predicate::MediaWipeMeasured { ending, ..media_measured() };
        let wipe = Wipe::new(account(intent_digest(), volume(), measured));
        assert_eq!(wipe.conclusion().result, result);
    }
}

#[test]
fn residue_that_was_found_fails_a_memory_wipe_and_residue_that_nobody_looked_for_is_an_exception() {
    let mut measured = memory_measured();
    measured.residue[0].state = ResidueState::NotChecked;
    let wipe = Wipe::new(account(intent_digest(), memory(), measured.clone()));
    assert_eq!(wipe.conclusion().result, WipeResult::PassWithExceptions);
    measured.residue[0].state = ResidueState::Found;
    let wipe = Wipe::new(account(intent_digest(), memory(), measured));
    assert_eq!(wipe.conclusion().result, WipeResult::Failed);
}

#[test]
fn a_wipe_that_did_not_pass_leaves_its_volume_uncovered() {
    let mut measured = media_measured();
    measured.unlinked = false;
    let wipe = Predicate::MediaWipe(Wipe::new(account(intent_digest(), volume(), measured)));
    let exit = with_envelope(Kind::MediaWipe, envelope(wipe, &host_key()));
    assert_found(&exit.bundle(), Code::Coverage, "media-wipe");

    let mut exit = Exit::good();
    exit.envelopes.retain(|(kind, _)| *kind != Kind::KeyErasure);
    let exit = Exit::of(exit.envelopes);
    assert_found(&exit.bundle(), Code::Coverage, "key-erasure");
}

#[test]
fn what_a_host_had_and_the_inventory_leaves_out_is_found() {
    let mut exit = Exit::good();
    exit.inventory.pop();
    assert_found(&exit.bundle(), Code::Coverage, "the inventory does not name it");
    exit.inventory.clear();
    assert_found(&exit.bundle(), Code::Coverage, "names nothing");

    let forgotten = Configuration {
        origin: origin(),
        generation: Generation(1),
        measured: ConfigurationMeasured {
            at: at(1),
            instances: vec![InstanceMeasured {
                instance: InstanceId::from_uuid(uuid(77)),
                running: true,
                vcpus: 1,
                memory_bytes: 1 << 26,
                volume_bytes: 0,
            }],
            ruleset: Digest::of(b"rules"),
        },
        not_measured: Vec::new(),
    };
    let mut envelopes = Exit::good().envelopes;
    let bytes = envelope(Predicate::Configuration(forgotten), &host_key());
    envelopes.insert(0, (Kind::Configuration, bytes));
    assert_found(&Exit::of(envelopes).bundle(), Code::Coverage, "does not name it");
}

#[test]
fn only_the_host_itself_signs_for_a_host() {
    for signer in [attestation_key(), key(9)] {
        let wipe =
            Predicate::MediaWipe(Wipe::new(account(intent_digest(), volume(), media_measured())));
        let exit = with_envelope(Kind::MediaWipe, envelope(wipe, &signer));
        assert_found(&exit.bundle(), Code::Signature, "signed by");
    }
    let mut exit = Exit::good();
    let other = HostId::from_uuid(uuid(88));
    exit.hosts =
        vec![HostKey::new(other, public(&host_key())), HostKey::new(host(), public(&key(9)))];
    assert_found(&exit.bundle(), Code::Signature, "signed by another host");
}

#[test]
fn a_wipe_before_its_intent_or_without_one_is_found() {
    let mut exit = Exit::good();
    exit.events.swap(3, 4);
    assert_found(&exit.bundle(), Code::Intent, "does not stand before it");

    let stranger = Digest::of(b"no intent");
    let wipe = Predicate::MediaWipe(Wipe::new(account(stranger, volume(), media_measured())));
    let exit = with_envelope(Kind::MediaWipe, envelope(wipe, &host_key()));
    assert_found(&exit.bundle(), Code::Intent, "not in the bundle");

    let mut later = account(intent_digest(), volume(), media_measured());
    later.run.attempt = 2;
    let wipe = Predicate::MediaWipe(Wipe::new(later));
    let exit = with_envelope(Kind::MediaWipe, envelope(wipe, &host_key()));
    assert_found(&exit.bundle(), Code::Intent, "not what its intent announced");
}

#[test]
fn one_person_is_not_two_and_nobody_approves_afterwards() {
    let mut exit = Exit::good();
    exit.events[2].1 = exit.events[1].1;
    assert_found(&exit.bundle(), Code::Approvals, "fewer than two persons");
    let mut exit = Exit::good();
    exit.events.swap(2, 3);
    assert_found(&exit.bundle(), Code::Approvals, "came after it");
    let mut exit = Exit::good();
    exit.events[2].0 = "submit".to_owned();
    assert_found(&exit.bundle(), Code::Approvals, "not in the ledger");
}

#[test]
fn an_envelope_that_is_not_in_the_ledger_is_found() {
    let mut exit = Exit::good();
    exit.events.pop();
    assert_found(&exit.bundle(), Code::Logged, "not in the ledger");
}

#[test]
fn a_pass_over_less_than_the_tenant_was_given_covers_nothing() {
    for claimed in [0, (16 << 20) + 1] {
        let mut account = account(intent_digest(), volume(), media_measured());
        account.claimed.size_bytes = claimed;
        let wipe = Wipe::new(account);
        assert_eq!(wipe.conclusion().result, WipeResult::Pass);
        let exit =
            with_envelope(Kind::MediaWipe, envelope(Predicate::MediaWipe(wipe), &host_key()));
        assert_found(&exit.bundle(), Code::Coverage, "no pass over all of it");
    }
}

#[test]
fn an_omitted_entry_is_found_wherever_it_was() {
    let exit = Exit::good();
    let entries = exit.entries();
    for omitted in 0..entries.len() {
        let mut rest = entries.clone();
        rest.remove(omitted);
        let (joining, proven, checkpoint) = Exit::logged(&exit.joining(), &rest);
        let mut parts = exit.parts();
        (parts.entries, parts.checkpoint) = (proven, checkpoint);
        parts.joinings = [(host(), joining)].into();
        let bundle = bundle::build(parts, &attestation_key()).expect("built");
        let last = omitted + 1 == entries.len();
        let code = if last { Code::Logged } else { Code::Sequence };
        assert_found(&bundle, code, "");
    }
    // The last one left out, and the manifest kept: it names the end.
    let mut members = archive::decode(&exit.bundle()).expect("canonical");
    members.remove(&format!("ledger/{:04}.json", entries.len()));
    let bundle = archive::encode(&members).expect("encoded");
    assert_found(&bundle, Code::Sequence, "do not end where");
}

#[test]
fn a_proof_of_another_entry_is_found() {
    let exit = Exit::good();
    let mut parts = exit.parts();
    parts.entries[1].proof = parts.entries[2].proof.clone();
    let bundle = bundle::build(parts, &attestation_key()).expect("built");
    assert_found(&bundle, Code::Inclusion, "does not lead to the root");
}

#[test]
fn members_that_are_added_removed_or_exchanged_are_found() {
    let members = archive::decode(&Exit::good().bundle()).expect("canonical");
    for name in members.keys() {
        let mut fewer = members.clone();
        fewer.remove(name);
        assert!(!verdict(&archive::encode(&fewer).expect("encoded")).ok, "without {name}");
    }
    let mut more = members.clone();
    more.insert("statements/0009-media-wipe.dsse.json".to_owned(), b"{}".to_vec());
    assert_found(&archive::encode(&more).expect("encoded"), Code::Members, "not listed");
    let mut exchanged = members.clone();
    let media = members["statements/0002-media-wipe.dsse.json"].clone();
    exchanged.insert("statements/0003-key-erasure.dsse.json".to_owned(), media);
    assert_found(&archive::encode(&exchanged).expect("encoded"), Code::Members, "not the listed");
}

#[test]
fn a_gap_that_the_controller_states_is_one() {
    let mut parts = Exit::good().parts();
    parts.gaps.push(Gap { what: "host h2".to_owned(), reason: "burnt".to_owned() });
    let bundle = bundle::build(parts, &attestation_key()).expect("built");
    assert_found(&bundle, Code::Gaps, "burnt");
}

#[test]
fn a_manifest_by_anybody_else_or_another_statement_in_its_place_is_refused() {
    let bundle = bundle::build(Exit::good().parts(), &host_key()).expect("built");
    assert_found(&bundle, Code::Manifest, "no valid signature");
    let mut members = archive::decode(&bundle).expect("canonical");
    let other = WipeIntent { origin: origin(), run: run(), at: at(0), targets: vec![memory()] };
    let statement = envelope(Predicate::WipeIntent(other), &attestation_key());
    members.insert("manifest.dsse.json".to_owned(), statement);
    let bundle = archive::encode(&members).expect("encoded");
    assert_found(&bundle, Code::Manifest, "not a manifest");
}

#[test]
fn a_second_host_needs_its_own_evidence() {
    let mut exit = Exit::good();
    let other = HostId::from_uuid(uuid(88));
    exit.hosts.push(HostKey::new(other, public(&key(8))));
    exit.inventory.push(InventoryItem { host: other, target: memory() });
    assert_found(&exit.bundle(), Code::Coverage, "is not there");
}

#[test]
fn a_dishonest_statement_cannot_be_signed() {
    let intent = WipeIntent { origin: origin(), run: run(), at: at(0), targets: vec![] };
    let statement =
        tenure_protocol::evidence::statement::Statement::new(Predicate::WipeIntent(intent));
    assert!(dsse::sign_statement(&statement, &host_key()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_changed_byte_anywhere_spoils_a_good_bundle(place: prop::sample::Index, bits in 1_u8..) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bundle = GOOD.get_or_init(|| Exit::good().bundle()).clone();
        let place = place.index(bundle.len());
        bundle[place] ^= bits;
        prop_assert!(!verdict(&bundle).ok, "byte {} changed by {:#x}", place, bits);
    }

    #[test]
    fn any_bytes_give_a_bad_verdict_and_no_panic(bytes: Vec<u8>) {
        prop_assert!(!verdict(&bytes).ok);
        let members = [("manifest.dsse.json".to_owned(), bytes)].into_iter().collect();
        prop_assert!(!verdict(&archive::encode(&members).expect("encoded")).ok);
    }

    #[test]
    fn any_member_in_place_of_a_good_one_gives_a_bad_verdict_and_no_panic(
        which: prop::sample::Index,
        bytes: Vec<u8>,
    ) {
        static GOOD: std::sync::OnceLock<archive::Members> = std::sync::OnceLock::new();
        let good = GOOD.get_or_init(|| archive::decode(&Exit::good().bundle()).expect("canonical"));
        let mut members = good.clone();
        let name = members.keys().nth(which.index(members.len())).expect("there").clone();
        members.insert(name, bytes);
        prop_assert!(!verdict(&archive::encode(&members).expect("encoded")).ok);
    }
}
