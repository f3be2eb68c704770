//! The tenant's entries in the ledger: proven, numbered, chained.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Findings, Opened};
use crate::{
    digest::Digest,
    evidence::{
        anchors::Anchors,
        archive::Members,
        bundle::{self, CHECKPOINT, MANIFEST, ProvenEntry},
        entry::{Entry, HOST_JOINED, MAX_ENTRY_BYTES, WITHHOLDABLE, host_joined},
        merkle,
        note::Checkpoint,
        predicate::{Kind, TenantExit, tenant_exit::HostKey},
    },
};

/// Most bytes of a member with an entry: the entry escaped, and its proof.
const MAX_MEMBER_BYTES: usize = 2 * MAX_ENTRY_BYTES + 68 * merkle::MAX_PROOF + 256;

/// The entries that hold, by the digest of what they are about.
pub(super) struct Chain(BTreeMap<Digest, Vec<(u64, Entry)>>);

impl Chain {
    /// Checks checkpoint, proofs and sequence.
    pub(super) fn verify(
        members: &Members,
        manifest: &TenantExit,
        anchors: &Anchors,
        findings: &mut Findings,
    ) -> Self {
        let mut chain = Self(BTreeMap::new());
        let note = members.get(CHECKPOINT).map_or([].as_slice(), Vec::as_slice);
        let checkpoint = match Checkpoint::open(note, &anchors.ledger_key) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                findings.push(Code::Checkpoint, CHECKPOINT, false, error.to_string());
                return chain;
            }
        };
        let sentence = format!("signed by {} for {} entries", checkpoint.origin, checkpoint.size);
        findings.push(Code::Checkpoint, CHECKPOINT, true, sentence);

        let mut before: Option<(u64, Entry, Digest)> = None;
        let (mut good, mut handed_in) = (true, false);
        let entries = members.range("ledger/".to_owned()..CHECKPOINT.to_owned());
        for number in 1..=entries.count() {
            let path = bundle::entry_path(number);
            let read = read(members.get(&path), &checkpoint);
            let Proven { index, entry, digest, withheld } = match read {
                Ok(read) => read,
                Err(sentence) => {
                    findings.push(Code::Inclusion, &path, false, sentence);
                    return chain;
                }
            };
            if let Some(sentence) = wrongly_withheld(&entry, withheld, handed_in) {
                findings.push(Code::Sequence, &path, false, sentence);
                good = false;
            }
            handed_in |= !withheld;
            if let Some(sentence) = out_of_sequence(manifest, before.as_ref(), index, &entry) {
                findings.push(Code::Sequence, &path, false, sentence);
                good = false;
            }
            chain.0.entry(entry.object_digest).or_default().push((index, entry.clone()));
            before = Some((index, entry, digest));
        }
        let end = before.map(|(_, entry, digest)| (entry.tenant_seq, digest));
        let complete = end == Some((manifest.entries.count, manifest.entries.last));
        findings.push(Code::Inclusion, CHECKPOINT, true, "every entry is in the ledger");
        let sentence = if complete {
            format!("entries 1 to {}, chained", manifest.entries.count)
        } else {
            "the entries do not end where the manifest says".to_owned()
        };
        findings.push(Code::Sequence, MANIFEST, complete && good, sentence);
        chain
    }

    /// Where an entry of this type about this object stands: the first, if there are several.
    pub(super) fn find(&self, object: &Digest, kind: &str) -> Option<(u64, &Entry)> {
        let entries = self.0.get(object)?;
        entries.iter().find(|(_, entry)| entry.kind == kind).map(|(index, entry)| (*index, entry))
    }

    /// Each envelope is in the ledger under its own kind.
    pub(super) fn check_logged(&self, opened: &[Opened<'_>], findings: &mut Findings) {
        for envelope in opened {
            let place = self.find(&envelope.listed.digest, envelope.listed.kind.name());
            let sentence = match place {
                Some((index, _)) => format!("entry {index} of the ledger"),
                None => "not in the ledger".to_owned(),
            };
            findings.push(Code::Logged, &envelope.listed.path, place.is_some(), sentence);
        }
    }

    /// Each entry of a statement has its envelope here: none is held back.
    pub(super) fn check_disclosed(&self, opened: &[Opened<'_>], findings: &mut Findings) {
        let here: BTreeSet<(Digest, Kind)> =
            opened.iter().map(|one| (one.listed.digest, one.listed.kind)).collect();
        let mut count = 0_usize;
        let mut hidden = BTreeMap::new();
        for (index, entry) in self.0.values().flatten() {
            let Some(kind) = Kind::from_name(&entry.kind) else { continue };
            count += 1;
            if !here.contains(&(entry.object_digest, kind)) {
                hidden.insert(*index, entry);
            }
        }
        for (index, entry) in &hidden {
            let sentence = format!(
                "the ledger has this statement, the bundle does not: entry {index} of the ledger, \
                 {} {}",
                entry.kind, entry.object_digest
            );
            let path = bundle::entry_path(usize::try_from(entry.tenant_seq).unwrap_or(usize::MAX));
            findings.push(Code::Disclosed, &path, false, sentence);
        }
        if hidden.is_empty() {
            let sentence = format!("the ledger has {count} statements, all of which are here");
            findings.push(Code::Disclosed, CHECKPOINT, true, sentence);
        }
    }
}

/// Each host's key is the one with which it joined: the entry of its joining says so, and stands in
/// the ledger. A key that was exchanged in the controller's database is found by it.
pub(super) fn check_joined(
    members: &Members,
    manifest: &TenantExit,
    anchors: &Anchors,
    findings: &mut Findings,
) {
    let note = members.get(CHECKPOINT).map_or([].as_slice(), Vec::as_slice);
    let checkpoint = Checkpoint::open(note, &anchors.ledger_key).map_err(|error| error.to_string());
    for (number, HostKey { host, keyid, .. }) in (1..).zip(&manifest.hosts) {
        let path = bundle::joining_path(number);
        let checkpoint = checkpoint.as_ref().map_err(Clone::clone);
        let (ok, sentence) = match checkpoint.and_then(|head| read(members.get(&path), head)) {
            Ok(Proven { index, entry, withheld, .. }) => {
                let ok = !withheld
                    && entry.kind == HOST_JOINED
                    && entry.tenant.is_none()
                    && entry.object_digest == host_joined(*host, keyid);
                let says = if ok { "says" } else { "does not say" };
                let sentence = format!(
                    "entry {index} of the ledger, of {}, {says} that host {host} joined with the \
                     key {keyid}",
                    entry.at
                );
                (ok, sentence)
            }
            Err(error) => {
                (false, format!("no proof that host {host} joined with its key: {error}"))
            }
        };
        findings.push(Code::HostKey, &path, ok, sentence);
    }
}

/// An entry that is in the ledger.
struct Proven {
    index: u64,
    entry: Entry,
    digest: Digest,
    /// Whether the ledger has its withheld form alone.
    withheld: bool,
}

fn read(member: Option<&Vec<u8>>, checkpoint: &Checkpoint) -> Result<Proven, String> {
    let bytes = member.ok_or("missing among the numbered entries")?;
    if bytes.len() > MAX_MEMBER_BYTES {
        return Err("it is too long".to_owned());
    }
    let proven: ProvenEntry = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if proven.v != 1 || serde_json::to_vec(&proven).ok().as_ref() != Some(bytes) {
        return Err("it is not in its canonical form, version 1".to_owned());
    }
    let raw = proven.entry.as_bytes();
    let included = |raw: &[u8]| {
        let (leaf, root) = (merkle::leaf_hash(raw), &checkpoint.root);
        merkle::verify_inclusion(&leaf, proven.index, checkpoint.size, &proven.proof, root)
            .map_err(|error| error.to_string())
    };
    let entry = Entry::from_bytes(raw).map_err(|error| error.to_string());
    // Of a draft it is the withheld form that stands in the ledger; before bytes are proven, they
    // are read for nothing but to make that form of them.
    let withheld = match (included(raw), &entry) {
        (Ok(()), _) => false,
        (Err(refusal), Ok(entry)) => {
            included(&entry.withheld().to_bytes()).map_err(|_| refusal)?;
            true
        }
        (Err(refusal), Err(_)) => return Err(refusal),
    };
    Ok(Proven { index: proven.index, entry: entry?, digest: Digest::of(raw), withheld })
}

fn wrongly_withheld(entry: &Entry, withheld: bool, handed_in: bool) -> Option<String> {
    let kind = entry.kind.as_str();
    if !withheld {
        None
    } else if handed_in {
        let why = "the ledger withholds it, though the application was handed in before";
        Some(why.to_owned())
    } else if !WITHHOLDABLE.contains(&kind) {
        Some(format!("the ledger withholds it, though {kind} is no act on a draft"))
    } else {
        None
    }
}

fn out_of_sequence(
    manifest: &TenantExit,
    before: Option<&(u64, Entry, Digest)>,
    index: u64,
    entry: &Entry,
) -> Option<String> {
    let (number, previous) =
        before.map_or((0, None), |(_, entry, digest)| (entry.tenant_seq, Some(*digest)));
    if entry.tenant != Some(manifest.tenant) {
        return Some("it is about another tenant".to_owned());
    }
    if Some(entry.tenant_seq) != number.checked_add(1) {
        return Some(format!("number {} of the tenant follows {number}", entry.tenant_seq));
    }
    if entry.prev_tenant_event != previous {
        return Some("it does not name the entry before it".to_owned());
    }
    let later = before.is_none_or(|(at, last, _)| *at < index && last.seq < entry.seq);
    (!later).then(|| "it stands before the entry that it follows".to_owned())
}
