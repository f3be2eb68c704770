//! Entries that the ledger has without saying what they are.

use super::*;

/// A bundle whose ledger has some of the tenant's entries withheld.
fn withholding(which: &[usize]) -> bundle::BundleParts {
    let exit = Exit::good();
    let entries = exit.entries();
    let mut logged = entries.clone();
    for at in which {
        logged[*at] = Entry::from_bytes(&entries[*at]).expect("an entry").withheld().to_bytes();
    }
    let (joining, proven, checkpoint) = Exit::logged(&exit.joining(), &logged);
    let whole = proven.into_iter().zip(&entries);
    let whole = whole.map(|(one, entry)| ProvenEntry::new(one.index, entry, one.proof));
    let mut parts = exit.parts();
    (parts.entries, parts.checkpoint) = (whole.collect(), checkpoint);
    parts.joinings = [(host(), joining)].into();
    parts
}

#[test]
fn entries_of_a_draft_are_proven_by_their_withheld_form_and_no_later_ones_are() {
    let built = |parts| bundle::build(parts, &attestation_key()).expect("built");
    let verdict = verdict(&built(withholding(&[0, 1])));
    assert!(verdict.ok, "{:#?}", verdict.findings);
    assert_found(&built(withholding(&[0, 2])), Code::Sequence, "withholds");
    let mut parts = withholding(&[0]);
    let other = parts.entries[0].entry.replace("\"seq\":", "\"seq\":1");
    parts.entries[0].entry = other;
    assert_found(&built(parts), Code::Inclusion, "does not lead to the root");
}
