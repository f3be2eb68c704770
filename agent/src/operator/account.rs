//! What an operator reads: a moment's account of what this host did, from the signed statement.

use tenure_protocol::{
    digest::Digest,
    evidence::{
        dsse::Envelope,
        predicate::{
            NetworkCut, Predicate,
            cut_proof::Fact,
            network_cut::{Direction, SealMeasured},
        },
        statement::Statement,
    },
    wire::v1::CommitInterval,
};

use crate::engine::local::{LocalAnswer, TenantStands};

/// How long the law gives to tell the customer, ms.
const NOTIFY_MS: i64 = 300_000;

/// What is printed, and whether what was asked is done.
#[must_use]
pub fn of(answer: &LocalAnswer) -> (Vec<String>, bool) {
    match answer {
        LocalAnswer::Done { order, cut, interval, envelope } => {
            let stated = envelope.as_deref().and_then(stated);
            let what = stated.as_ref().map_or_else(
                || "done".to_owned(),
                |stated| match stated.direction {
                    Direction::Cut => {
                        format!("tenant {} is cut on this host", stated.origin.tenant)
                    }
                    Direction::Restore => {
                        format!("tenant {} is connected again on this host", stated.origin.tenant)
                    }
                },
            );
            let mut lines = vec![what, format!("cut      {cut}"), format!("order    {order}")];
            lines.push(committed(interval));
            match (&stated, envelope) {
                (Some(stated), Some(envelope)) => lines.extend(measured(stated, envelope)),
                _ => lines.push(
                    "signed   NO: the statement could not be signed; read tenure-hostd's log"
                        .to_owned(),
                ),
            }
            (lines, true)
        }
        LocalAnswer::NotYet { code, message } => {
            let lines = vec![
                format!("not in force: {message} ({code})"),
                "It is journalled, and tried again every 3 s; `tenure-agent status` shows it."
                    .to_owned(),
            ];
            (lines, false)
        }
        LocalAnswer::Refused { code, message } => {
            (vec![format!("refused: {message} ({code})")], false)
        }
        LocalAnswer::Status(tenants) => (status(tenants), true),
    }
}

/// The statement in an envelope that tenure-hostd has just signed.
fn stated(envelope: &[u8]) -> Option<NetworkCut> {
    let payload = Envelope::from_bytes(envelope).ok()?.payload;
    match Statement::from_payload(&payload).ok()?.predicate() {
        Predicate::NetworkCut(cut) => Some(cut.clone()),
        _ => None,
    }
}

fn committed(interval: &CommitInterval) -> String {
    let CommitInterval { earliest, latest, took_ns } = interval;
    format!("t0       {earliest} (the kernel took it by {latest}, {} µs)", took_ns / 1000)
}

fn measured(stated: &NetworkCut, envelope: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(match &stated.measured.seal {
        Some(SealMeasured { taps, sealed_read_back, .. }) => {
            format!("seal     {sealed_read_back} of {taps} taps drop every frame")
        }
        None => "seal     none: the first stage alone holds".to_owned(),
    });
    if let Some(proof) = &stated.measured.proof {
        let holds = if proof.holds() {
            "holds"
        } else {
            "DOES NOT HOLD: see the alarm in tenure-hostd's log"
        };
        let parts = [
            ("rules", said(&proof.structure)),
            ("frames", said(&proof.conservation)),
            ("requests", said(&proof.probes)),
        ];
        let parts: Vec<String> =
            parts.iter().map(|(what, said)| format!("{what} {said}")).collect();
        lines.push(format!("proof    {holds} ({})", parts.join(", ")));
    }
    for missing in &stated.not_measured {
        lines.push(format!("missing  {}: {}", missing.what, missing.reason));
    }
    if let Some(local) = &stated.local {
        lines.push(format!("by       {}: {:?}", local.person(), local.reason));
    }
    lines.push(format!("signed   {}", Digest::of(envelope)));
    match stated.direction {
        Direction::Cut => {
            let by = stated.measured.earliest.plus_ms(NOTIFY_MS);
            lines.push(
                "The controller is told when it is back, and then cuts the other hosts.".to_owned(),
            );
            lines.push(format!("The customer has to know before {by}."));
        }
        Direction::Restore => lines
            .push("The controller is told of the cut and of its end when it is back.".to_owned()),
    }
    lines
}

const fn said<T>(fact: &Fact<T>) -> &'static str {
    match fact {
        Fact::Measured(_) => "measured",
        Fact::NotMeasured { .. } => "not measured",
        Fact::NotProvable { .. } => "not provable",
    }
}

fn status(tenants: &[TenantStands]) -> Vec<String> {
    if tenants.is_empty() {
        return vec!["no tenant is on this host".to_owned()];
    }
    let line = |stands: &TenantStands| {
        let how = match (&stands.cut, &stands.local) {
            (None, _) => "connected".to_owned(),
            (Some(cut), None) => format!("cut by the controller's order (cut {cut})"),
            (Some(cut), Some(local)) => format!(
                "cut here by {} at {}: {:?} (cut {cut})",
                local.person(),
                local.at,
                local.reason
            ),
        };
        format!("{}  {:#010x}  {how}", stands.tenant, stands.mark.0)
    };
    tenants.iter().map(line).collect()
}
