//! What hosts' envelopes say: the signature first, then that they are about the order that they
//! came with, then what they state. A volume counts as destroyed only if both its blocks and its
//! keys do.

use std::collections::BTreeMap;

use tenure_protocol::{
    digest::Digest,
    evidence::{
        dsse,
        key::PublicKey,
        predicate::{Kind, LocalOrder, NetworkCut, Predicate, Run, Target, WipeResult},
    },
    id::{HostId, OrderId, TenantId},
    wire::v1::WipeSubject,
};

use super::lifecycle::{Finding, FindingResult};

/// The order that envelopes have to be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Its id.
    pub order: OrderId,
    /// Digest of its signed bytes.
    pub digest: Digest,
    /// The host that it went to.
    pub host: HostId,
    /// Whose resources.
    pub tenant: TenantId,
}

/// One envelope that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// What it states, in kind.
    pub kind: Kind,
    /// Digest of its bytes.
    pub digest: Digest,
    /// What it states.
    pub predicate: Predicate,
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It is no envelope, is not signed by the host's key, or states what its facts do not bear
    /// out.
    #[error("an envelope of the report does not hold: {0}")]
    Envelope(#[from] dsse::EnvelopeError),
    /// It is about something else.
    #[error("an envelope of the report is about another order, host or tenant")]
    Stranger,
    /// It is no statement on a cut that a person ordered on the host.
    #[error("an envelope of the report is on no local order that is in force")]
    NotLocal,
    /// It is of a kind that no host signs here.
    #[error("an envelope of the report is a {0}, which does not belong there")]
    Kind(&'static str),
}

/// Opens an envelope: signature, then statement, then that it is about this order.
///
/// # Errors
/// [`AttestationError`].
pub fn open(envelope: &[u8], key: &PublicKey, about: &About) -> Result<Attested, AttestationError> {
    let statement = dsse::open_statement(envelope, key)?;
    let predicate = statement.predicate().clone();
    let kind = predicate.kind();
    let Some(origin) = predicate.origin() else {
        return Err(AttestationError::Kind(kind.name()));
    };
    let same = origin.order.id == about.order
        && origin.order.digest == about.digest
        && origin.host == about.host
        && origin.tenant == about.tenant;
    if !same {
        return Err(AttestationError::Stranger);
    }
    Ok(Attested { kind, digest: Digest::of(envelope), predicate })
}

/// Opens an envelope of this host on what a person ordered there: signature, then statement, then
/// that it is on such an order, was seen in force, and is of this host.
///
/// # Errors
/// [`AttestationError`].
pub fn open_local(
    envelope: &[u8],
    key: &PublicKey,
    host: HostId,
) -> Result<(NetworkCut, LocalOrder), AttestationError> {
    let statement = dsse::open_statement(envelope, key)?;
    let Predicate::NetworkCut(cut) = statement.predicate() else {
        return Err(AttestationError::Kind(statement.predicate().kind().name()));
    };
    if cut.origin.host != host {
        return Err(AttestationError::Stranger);
    }
    match &cut.local {
        Some(given) if cut.in_force() => Ok((cut.clone(), given.clone())),
        Some(_) | None => Err(AttestationError::NotLocal),
    }
}

/// Whether an envelope is the intent to destroy exactly these subjects in this attempt.
#[must_use]
pub fn is_intent(attested: &Attested, attempt: u32, subjects: &[WipeSubject]) -> bool {
    match &attested.predicate {
        Predicate::WipeIntent(intent) => {
            let mut wanted: Vec<Target> =
                subjects.iter().map(|subject| (*subject).into()).collect();
            let mut named = intent.targets.clone();
            wanted.sort_unstable();
            named.sort_unstable();
            intent.run.attempt == attempt && wanted == named
        }
        Predicate::MediaWipe(_)
        | Predicate::MemoryWipe(_)
        | Predicate::KeyErasure(_)
        | Predicate::NetworkCut(_)
        | Predicate::Notification(_)
        | Predicate::Configuration(_)
        | Predicate::TenantExit(_)
        | Predicate::DeviceSanitizeIntent(_)
        | Predicate::DeviceSanitize(_) => false,
    }
}

/// What a wipe's envelopes amount to, one finding per subject that they speak of.
#[must_use]
pub fn findings(attested: &[Attested]) -> Vec<Finding> {
    let mut of_target: BTreeMap<Target, Vec<(Kind, &Run, WipeResult, Digest)>> = BTreeMap::new();
    for one in attested {
        let told = match &one.predicate {
            Predicate::MediaWipe(wipe) => (wipe.target, &wipe.run, wipe.conclusion().result),
            Predicate::MemoryWipe(wipe) => (wipe.target, &wipe.run, wipe.conclusion().result),
            Predicate::KeyErasure(wipe) => (wipe.target, &wipe.run, wipe.conclusion().result),
            Predicate::WipeIntent(_)
            | Predicate::NetworkCut(_)
            | Predicate::Notification(_)
            | Predicate::Configuration(_)
            | Predicate::TenantExit(_)
            | Predicate::DeviceSanitizeIntent(_)
            | Predicate::DeviceSanitize(_) => continue,
        };
        let (target, run, result) = told;
        of_target.entry(target).or_default().push((one.kind, run, result, one.digest));
    }
    of_target
        .into_iter()
        .filter_map(|(target, told)| {
            let (_, run, _, first) = *told.first()?;
            let passes = |kind: Kind| {
                let mut of_kind = told.iter().filter(|(known, ..)| *known == kind).peekable();
                of_kind.peek().is_some()
                    && of_kind.all(|(_, _, result, _)| *result == WipeResult::Pass)
            };
            let all_pass = match target {
                Target::Volume { .. } => passes(Kind::MediaWipe) && passes(Kind::KeyErasure),
                Target::Memory { .. } => passes(Kind::MemoryWipe),
            };
            let one_attempt = told.iter().all(|(_, other, ..)| other.attempt == run.attempt);
            let result =
                if all_pass && one_attempt { FindingResult::Pass } else { FindingResult::NotPass };
            let media = told.iter().find(|(kind, ..)| *kind != Kind::KeyErasure);
            Some(Finding {
                subject: subject(target),
                attempt: run.attempt,
                result,
                envelope: media.map_or(first, |(.., digest)| *digest),
            })
        })
        .collect()
}

const fn subject(target: Target) -> WipeSubject {
    match target {
        Target::Volume { instance, volume } => WipeSubject::Volume { instance, volume },
        Target::Memory { instance } => WipeSubject::Memory { instance },
    }
}
