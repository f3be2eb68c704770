//! Whose key a host's is: by the ledger, not by the controller's database.

use super::*;

#[test]
fn a_host_whose_key_was_exchanged_in_the_database_is_found() {
    // All else is right: the manifest names the exchanged key, and what it signed is logged.
    let exchanged = Exit { joined_with: public(&key(9)), ..Exit::good() };
    assert_found(&exchanged.bundle(), Code::HostKey, "does not say that host");
    let bad: Vec<_> =
        verdict(&exchanged.bundle()).findings.into_iter().filter(|one| !one.ok).collect();
    assert_eq!(bad.len(), 1, "nothing else would have found it: {bad:#?}");

    let mut parts = Exit::good().parts();
    parts.joinings.clear();
    let bundle = bundle::build(parts, &attestation_key()).expect("built");
    assert_found(&bundle, Code::HostKey, "no proof that host");

    // An entry of the ledger, and about this host and key, but no joining.
    let text = String::from_utf8(Exit::good().joining()).expect("JSON");
    for (from, to) in [("\"host-joined\"", "\"host-blocked\""), ("\"v\":1", "\"v\": 1")] {
        let other = text.replacen(from, to, 1);
        let (joining, entries, checkpoint) =
            Exit::logged(other.as_bytes(), &Exit::good().entries());
        let mut parts = Exit::good().parts();
        (parts.entries, parts.checkpoint) = (entries, checkpoint);
        parts.joinings = [(host(), joining)].into();
        let bundle = bundle::build(parts, &attestation_key()).expect("built");
        assert_found(&bundle, Code::HostKey, "joined with");
    }

    // Out of another ledger: the proof does not lead to the signed head.
    let mut parts = Exit::good().parts();
    let joining = parts.joinings.get_mut(&host()).expect("there");
    joining.entry = joining.entry.replacen("\"seq\":1", "\"seq\":2", 1);
    let bundle = bundle::build(parts, &attestation_key()).expect("built");
    assert_found(&bundle, Code::HostKey, "no proof that host");
}
