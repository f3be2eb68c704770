//! Offline verification of a bundle: no network, no clock, and no trust but in the two anchors.
//!
//! In this order, and nothing is parsed before its signature or digest holds:
//! 1. the container has its one form;
//! 2. the manifest is signed by the controller, and lists exactly what is there;
//! 3. each envelope is signed by whoever must sign it, and is honest by its own rules;
//! 4. the tenant's ledger entries are proven, numbered and chained without a gap, and each host's
//!    key is the one with which it joined, by the ledger and not by the controller's word;
//! 5. what the ledger has of statements is what the bundle has of them, and the other way round;
//! 6. each wipe follows its intent, each intent two persons' approvals, and none lacks its end;
//! 7. the whole inventory is covered by passes, and nothing else was ever seen.

mod chain;
mod coverage;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::chain::Chain;
use super::{
    anchors::Anchors,
    archive::{self, Members},
    bundle::{self, CHECKPOINT, MANIFEST},
    dsse::{self, Envelope},
    key::{KeyId, PublicKey},
    predicate::{Predicate, TenantExit, tenant_exit::ListedEnvelope},
    statement::Statement,
};
use crate::{digest::Digest, id::HostId};

/// What a verification comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether every finding is in order.
    pub ok: bool,
    /// What was looked at, in the order of looking.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was asked: stable.
    pub code: Code,
    /// Of what: a member of the bundle, or a thing of the tenant's.
    pub subject: String,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found.
    pub sentence: String,
}

/// What is asked of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Is it a tar file in the one form?
    Container,
    /// Did the controller sign the manifest, and is it honest?
    Manifest,
    /// Does the controller itself know of gaps?
    Gaps,
    /// Is everything that is listed there, and nothing else?
    Members,
    /// Did the right key sign?
    Signature,
    /// Does the statement keep its own rules?
    Honesty,
    /// Is the ledger's head signed?
    Checkpoint,
    /// Are the entries in the ledger?
    Inclusion,
    /// Did each host join with the key that the manifest gives it?
    HostKey,
    /// Are the tenant's entries numbered and chained without a gap?
    Sequence,
    /// Is each envelope in the ledger?
    Logged,
    /// Is each statement of the ledger in the bundle?
    Disclosed,
    /// Was each wipe announced before it began, and did each announced one end?
    Intent,
    /// Did two persons approve before that?
    Approvals,
    /// Is all that the tenant had destroyed?
    Coverage,
    /// Was legal time staged (a demonstration)? There only if it was.
    DemoClock,
}

/// An envelope of the bundle whose signature holds.
struct Opened<'a> {
    listed: &'a ListedEnvelope,
    statement: Statement,
}

/// Collects findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn push(&mut self, code: Code, subject: &str, ok: bool, sentence: impl Into<String>) {
        let sentence = sentence.into();
        self.0.push(Finding { code, subject: subject.to_owned(), ok, sentence });
    }

    fn verdict(self) -> Verdict {
        Verdict { ok: !self.0.is_empty() && self.0.iter().all(|one| one.ok), findings: self.0 }
    }
}

/// Verifies an exit bundle. Total: any bytes give a verdict.
#[must_use]
pub fn verify_bundle(bytes: &[u8], anchors: &Anchors) -> Verdict {
    let mut findings = Findings::default();
    let members = match archive::decode(bytes) {
        Ok(members) => members,
        Err(error) => {
            findings.push(Code::Container, "bundle", false, error.to_string());
            return findings.verdict();
        }
    };
    findings.push(Code::Container, "bundle", true, format!("{} members", members.len()));
    let Some(manifest) = manifest(&members, anchors, &mut findings) else {
        return findings.verdict();
    };
    let listed = listed(&members, &manifest, &mut findings);
    let keys = keys(&manifest, anchors);
    let mut opened = Vec::new();
    for (listed, bytes) in listed {
        match open(listed, bytes, &manifest, &keys) {
            Ok(statement) => {
                let predicate = statement.predicate();
                let sentence = match (predicate.wipe_result(), predicate.proves()) {
                    (Some(result), _) => format!("honest; the result is {result:?}"),
                    (None, Some(proves)) => format!("honest; {proves}"),
                    (None, None) => "honest".to_owned(),
                };
                findings.push(Code::Signature, &listed.path, true, "signed by the right key");
                findings.push(Code::Honesty, &listed.path, true, sentence);
                opened.push(Opened { listed, statement });
            }
            Err((code, sentence)) => findings.push(code, &listed.path, false, sentence),
        }
    }
    let chain = Chain::verify(&members, &manifest, anchors, &mut findings);
    chain::check_joined(&members, &manifest, anchors, &mut findings);
    chain.check_logged(&opened, &mut findings);
    chain.check_disclosed(&opened, &mut findings);
    coverage::check_intents(&opened, &chain, &mut findings);
    coverage::check_ends(&opened, &chain, &mut findings);
    coverage::check_inventory(&manifest, &opened, &mut findings);
    findings.verdict()
}

fn manifest(members: &Members, anchors: &Anchors, findings: &mut Findings) -> Option<TenantExit> {
    let mut refuse = |sentence: &str| {
        findings.push(Code::Manifest, MANIFEST, false, sentence);
        None
    };
    let Some(bytes) = members.get(MANIFEST) else { return refuse("it is missing") };
    let statement = match dsse::open_statement(bytes, &anchors.attestation_key) {
        Ok(statement) => statement,
        Err(error) => return refuse(&error.to_string()),
    };
    let Predicate::TenantExit(exit) = statement.predicate() else {
        return refuse("it is another statement of the controller, not a manifest");
    };
    let exit = exit.clone();
    findings.push(Code::Manifest, MANIFEST, true, format!("signed, for tenant {}", exit.tenant));
    for gap in &exit.gaps {
        findings.push(Code::Gaps, MANIFEST, false, format!("{}: {}", gap.what, gap.reason));
    }
    if exit.gaps.is_empty() {
        findings.push(Code::Gaps, MANIFEST, true, "the controller knows of no gap");
    }
    if let Some(offset) = exit.demo_offset {
        let sentence = format!(
            "A DEMONSTRATION: legal time was staged; at the end it was {} days and {} ms {} real \
             time: no deadline in here proves anything",
            offset.ms / 86_400_000,
            offset.ms % 86_400_000,
            if offset.behind { "behind" } else { "ahead of" },
        );
        findings.push(Code::DemoClock, MANIFEST, true, sentence);
    }
    Some(exit)
}

/// The listed envelopes with their bytes, each of which has its digest.
fn listed<'a>(
    members: &'a Members,
    manifest: &'a TenantExit,
    findings: &mut Findings,
) -> Vec<(&'a ListedEnvelope, &'a [u8])> {
    let mut present = Vec::new();
    let mut expected: BTreeSet<String> = [MANIFEST.to_owned(), CHECKPOINT.to_owned()].into();
    let count = usize::try_from(manifest.entries.count).unwrap_or(usize::MAX);
    expected.extend((1..=count.min(members.len())).map(bundle::entry_path));
    expected.extend((1..=manifest.hosts.len()).map(bundle::joining_path));
    let mut digests = BTreeSet::new();
    for (number, envelope) in (1..).zip(&manifest.envelopes) {
        let path = &envelope.path;
        expected.insert(path.clone());
        let bytes = members.get(path).map(Vec::as_slice);
        match bytes {
            None => findings.push(Code::Members, path, false, "listed, but missing"),
            Some(bytes) if Digest::of(bytes) != envelope.digest => {
                findings.push(Code::Members, path, false, "it is not the listed one");
            }
            Some(bytes) => present.push((envelope, bytes)),
        }
        if *path != bundle::statement_path(number, envelope.kind)
            || !digests.insert(envelope.digest)
        {
            findings.push(Code::Members, path, false, "listed twice, or under a wrong name");
        }
    }
    for name in members.keys().filter(|name| !expected.contains(*name)) {
        findings.push(Code::Members, name, false, "there, but not listed");
    }
    let sentence = format!("{} envelopes are listed", manifest.envelopes.len());
    findings.push(Code::Members, MANIFEST, !manifest.envelopes.is_empty(), sentence);
    present
}

/// Who may sign: hosts of the manifest, and the controller (no host).
fn keys(manifest: &TenantExit, anchors: &Anchors) -> BTreeMap<KeyId, (PublicKey, Option<HostId>)> {
    let hosts = manifest.hosts.iter().map(|host| (host.key.id(), (host.key, Some(host.host))));
    let controller = anchors.attestation_key;
    hosts.chain([(controller.id(), (controller, None))]).collect()
}

/// The statement in an envelope: signed by whoever must sign it, and honest.
fn open(
    listed: &ListedEnvelope,
    bytes: &[u8],
    manifest: &TenantExit,
    keys: &BTreeMap<KeyId, (PublicKey, Option<HostId>)>,
) -> Result<Statement, (Code, String)> {
    let unsigned = |error: dsse::EnvelopeError| (Code::Signature, error.to_string());
    let envelope = Envelope::from_bytes(bytes).map_err(unsigned)?;
    let (key, signer) = envelope
        .signatures
        .iter()
        .find_map(|signature| keys.get(&signature.keyid))
        .ok_or((Code::Signature, "signed by no key that the manifest knows".to_owned()))?;
    let payload = envelope.verify(key).map_err(unsigned)?;
    let dishonest = |sentence: String| (Code::Honesty, sentence);
    let statement =
        Statement::from_payload(payload).map_err(|error| dishonest(error.to_string()))?;
    let predicate = statement.predicate();
    if predicate.kind() != listed.kind {
        return Err(dishonest("the manifest lists it as another kind".to_owned()));
    }
    if predicate.tenant() != Some(manifest.tenant) {
        return Err(dishonest("it is not about this tenant".to_owned()));
    }
    if predicate.origin().map(|origin| origin.host) != *signer {
        return Err((Code::Signature, "signed by another host or side than it names".to_owned()));
    }
    match predicate.dishonesty() {
        Some(sentence) => Err(dishonest(sentence)),
        None => Ok(statement),
    }
}
