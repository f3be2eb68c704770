//! The wipe (clause 6.2): never without two persons' approval, never while a hold stands; nothing
//! is verified without an attestation for everything ever allocated.

use tenure_protocol::{
    digest::Digest,
    id::{HostId, OrderId},
};

use super::{
    holding,
    report::{Finding, FindingResult},
    step::Step,
};
use crate::core::{
    canonical,
    obligation::ObligationId,
    refusal::{Code, Refusal},
    tenant::{Approval, OrderFate, OrderKind, Phase, Proven, Tenant, Wipe},
};

/// One of two different persons, neither of whom ever acted for the customer.
pub(super) fn approve_wipe(step: &mut Step<'_>) -> Result<(), Refusal> {
    holding::free(&step.tenant, "the wipe")?;
    let name = step.actor.name.clone();
    let salt = Digest(step.draw.bytes());
    let at = step.now();
    let tenant = step.tenant.id;
    let wipe = step.tenant.wipe.get_or_insert_with(|| Wipe {
        attempt: 0,
        approvals: Vec::new(),
        intents: std::collections::BTreeMap::new(),
        proven: Vec::new(),
    });
    if step.tenant.phase == Phase::WipeFailed && wipe.approvals.len() >= 2 {
        wipe.approvals.clear();
    }
    if wipe.approvals.iter().any(|approval| approval.name == name) {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            format!("{name} approved this wipe already: a second person has to approve it too"),
        ));
    }
    let record = canonical::text(serde_json::json!({
        "approval": "wipe", "at": at, "attempt": wipe.attempt.saturating_add(1),
        "name": name, "salt": salt, "tenant": tenant, "v": 1,
    }));
    let digest = Digest::of(record.as_bytes());
    wipe.approvals.push(Approval { name, at, record, digest });
    let enough = wipe.approvals.len() >= 2;
    if enough {
        wipe.attempt = wipe.attempt.saturating_add(1);
        wipe.intents.clear();
    }
    step.object = Some(digest);
    if enough {
        step.tenant.phase = Phase::Wiping;
        for host in step.tenant.hosts() {
            if !step.tenant.unproven(host).is_empty() {
                step.order(host, OrderKind::Wipe);
            }
        }
    }
    Ok(())
}

/// A host has declared what it is about to destroy.
pub(super) fn intended(step: &mut Step<'_>, host: HostId, envelope: Digest) {
    if let Some(wipe) = &mut step.tenant.wipe {
        wipe.intents.insert(host, envelope);
    }
}

pub(super) fn wiped(step: &mut Step<'_>, host: HostId, order: OrderId, findings: &[Finding]) {
    prove(step, host, findings);
    let bad = findings.iter().any(|finding| finding.result != FindingResult::Pass);
    if bad || !step.tenant.unproven(host).is_empty() {
        let message = "an attestation is missing, is of another attempt, or is no pass";
        return wipe_failed(step, order, "not-proven", message);
    }
    step.set_fate(order, OrderFate::Done);
    settle(step);
}

/// Takes over the passes: of this attempt, of subjects on this host, each once.
pub(super) fn prove(step: &mut Step<'_>, host: HostId, findings: &[Finding]) {
    let missing = step.tenant.unproven(host);
    let Some(wipe) = &mut step.tenant.wipe else { return };
    for finding in findings {
        let bad = findings.iter().any(|other| {
            other.subject == finding.subject
                && (other.result != FindingResult::Pass || other.attempt != wipe.attempt)
        });
        let known =
            wipe.proven.iter().any(|proof| proof.host == host && proof.subject == finding.subject);
        if !bad && !known && missing.contains(&finding.subject) {
            let (subject, envelope) = (finding.subject, finding.envelope);
            wipe.proven.push(Proven { host, subject, envelope });
        }
    }
}

pub(super) fn wipe_failed(step: &mut Step<'_>, order: OrderId, code: &str, message: &str) {
    step.fail(order, code, message, None);
    settle(step);
}

/// Once no host is still at it: verified if everything is proven, else failed. A host that reports
/// late, when the wipe counts as failed, may prove what was missing: nobody has to approve another.
fn settle(step: &mut Step<'_>) {
    let mut wipes = step.tenant.orders.iter().filter(|order| order.kind == OrderKind::Wipe);
    if !matches!(step.tenant.phase, Phase::Wiping | Phase::WipeFailed)
        || wipes.any(|order| order.state == OrderFate::Open)
    {
        return;
    }
    if everything_proven(&step.tenant) {
        step.tenant.phase = Phase::WipeVerified;
        step.meet(ObligationId::O11b);
    } else {
        step.tenant.phase = Phase::WipeFailed;
    }
}

/// Whether every volume and memory ever allocated is proven destroyed.
pub(super) fn everything_proven(tenant: &Tenant) -> bool {
    !tenant.instances().is_empty()
        && tenant.hosts().into_iter().all(|host| tenant.unproven(host).is_empty())
}
