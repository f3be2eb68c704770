//! Entries that the ledger has without saying what they are.

use super::*;

/// A bundle of a tenant that was a draft first, whose ledger has some of its entries withheld.
fn withholding(which: &[usize]) -> bundle::BundleParts {
    let mut exit = Exit::good();
    let person = Digest::of(b"customer");
    for (at, kind) in ["save-draft", "attachment-filed"].into_iter().enumerate() {
        exit.events.insert(at, (kind.to_owned(), person, Digest::of(kind.as_bytes())));
    }
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

fn built(parts: bundle::BundleParts) -> Vec<u8> {
    bundle::build(parts, &attestation_key()).expect("built")
}

#[test]
fn entries_of_a_draft_are_proven_by_their_withheld_form_and_no_later_ones_are() {
    let verdict = verdict(&built(withholding(&[0, 1])));
    assert!(verdict.ok, "{:#?}", verdict.findings);
    assert_found(&built(withholding(&[1])), Code::Sequence, "withholds");
    let mut parts = withholding(&[0]);
    let other = parts.entries[0].entry.replace("\"seq\":", "\"seq\":1");
    parts.entries[0].entry = other;
    assert_found(&built(parts), Code::Inclusion, "does not lead to the root");
}

#[test]
fn neither_the_application_nor_an_approval_nor_a_statement_can_be_withheld() {
    // A controller that withholds them all from the first on hides when they were made from those
    // who watch its ledger.
    for last in [2, 3, 5] {
        let which: Vec<usize> = (0..=last).collect();
        assert_found(&built(withholding(&which)), Code::Sequence, "is no act on a draft");
    }
}
