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

const NOBODY: &str =
    "This host keeps no notices of this tenant: NOBODY TELLS THE CUSTOMER BUT YOU.";

/// What is printed, and whether what was asked is done.
#[must_use]
pub fn of(answer: &LocalAnswer) -> (Vec<String>, bool) {
    match answer {
        LocalAnswer::Done { order, cut, interval, envelope, told_after_ms } => {
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
            let is_cut = stated.as_ref().is_none_or(|stated| stated.direction == Direction::Cut);
            match (&stated, envelope) {
                (Some(stated), Some(envelope)) => lines.extend(measured(stated, envelope)),
                _ => lines.push(
                    "signed   NO: the statement could not be signed; read tenure-hostd's log"
                        .to_owned(),
                ),
            }
            if is_cut {
                lines.extend(to_be_told(interval, *told_after_ms));
            }
            (lines, true)
        }
        LocalAnswer::NotYet { code, message, direction, told_after_ms } => {
            let mut lines = vec![
                format!("not in force: {message} ({code})"),
                "It is journalled, and tried again every 3 s; `tenure-agent status` shows it."
                    .to_owned(),
            ];
            if *direction == Direction::Cut {
                lines.extend(would_be_told(*told_after_ms));
            }
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
        Direction::Cut => lines.push(
            "The controller is told when it is back, and then cuts the other hosts.".to_owned(),
        ),
        Direction::Restore => lines.push(
            "The controller is told of the cut and of its end when it is back. What this host was \
             to tell the customer of the cut, it still tells."
                .to_owned(),
        ),
    }
    lines
}

/// Who tells the customer of a cut that has no instant yet.
fn would_be_told(after_ms: Option<u64>) -> Vec<String> {
    let minutes = NOTIFY_MS / 60_000;
    let Some(after_ms) = after_ms else {
        return vec![
            NOBODY.to_owned(),
            format!("Phone the customer: it has to know within {minutes} min once it is cut."),
        ];
    };
    let seconds = after_ms / 1000;
    vec![
        format!("This host tells the customer by mail and webhook {seconds} s after the cut, once"),
        "it is in force, unless the controller has. It needs tenure-agent running: its log says"
            .to_owned(),
        format!(
            "whether a notice arrived. If none does, phone: the customer has to know within \
             {minutes} min."
        ),
    ]
}

/// Who tells the customer, and until when it has to know.
fn to_be_told(interval: &CommitInterval, after_ms: Option<u64>) -> Vec<String> {
    let by = interval.earliest.plus_ms(NOTIFY_MS);
    let Some(after_ms) = after_ms else {
        return vec![NOBODY.to_owned(), format!("Phone the customer: it has to know before {by}.")];
    };
    let from = interval.earliest.plus_ms(i64::try_from(after_ms).unwrap_or(NOTIFY_MS));
    let seconds = after_ms / 1000;
    vec![
        format!(
            "This host tells the customer by mail and webhook from {from} on, {seconds} s after"
        ),
        "the cut, unless the controller has by then. It needs tenure-agent running: its log says"
            .to_owned(),
        format!(
            "whether a notice arrived. If none does, phone: the customer has to know before {by}."
        ),
    ]
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
            (None, _) => match stands.told_after_ms {
                Some(ms) => {
                    format!(
                        "connected; of a cut here this host tells the customer after {} s",
                        ms / 1000
                    )
                }
                None => "connected; of a cut here NOBODY tells the customer: phone".to_owned(),
            },
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

#[cfg(test)]
mod tests {
    use tenure_protocol::{
        id::{CutId, OrderId, TenantId},
        time::Timestamp,
        wire::v1::Mark,
    };
    use uuid::Uuid;

    use super::*;

    #[test]
    fn whoever_cuts_is_told_whether_the_host_tells_the_customer_or_nobody_does() {
        let earliest = Timestamp::from_unix_ms(1_788_220_800_000);
        let interval = CommitInterval { earliest, latest: earliest.plus_ms(1), took_ns: 1 };
        let said = |told_after_ms| {
            let order = OrderId::from_uuid(Uuid::from_u128(1));
            let cut = CutId::from_uuid(Uuid::from_u128(2));
            of(&LocalAnswer::Done { order, cut, interval, envelope: None, told_after_ms })
                .0
                .join("\n")
        };
        let (by_host, by_nobody) = (said(Some(120_000)), said(None));
        let from = earliest.plus_ms(120_000).to_string();
        assert!(by_host.contains(&from) && by_host.contains("120 s"), "{by_host}");
        assert!(by_nobody.contains("NOBODY TELLS THE CUSTOMER BUT YOU"), "{by_nobody}");
        let until = earliest.plus_ms(300_000).to_string();
        assert!(by_host.contains(&until) && by_nobody.contains(&until));
    }

    #[test]
    fn whoever_orders_a_cut_that_is_not_in_force_yet_is_told_who_will_tell_the_customer() {
        let said = |direction, told_after_ms| {
            let (code, message) = ("packet-filter".to_owned(), "busy".to_owned());
            of(&LocalAnswer::NotYet { code, message, direction, told_after_ms })
        };
        let (by_host, done) = said(Direction::Cut, Some(120_000));
        let by_host = by_host.join("\n");
        assert!(!done && by_host.contains("120 s") && by_host.contains("5 min"), "{by_host}");
        let by_nobody = said(Direction::Cut, None).0.join("\n");
        assert!(by_nobody.contains("NOBODY TELLS THE CUSTOMER BUT YOU"), "{by_nobody}");
        assert_eq!(said(Direction::Restore, None).0.len(), 2, "a restore is no cut");
    }

    #[test]
    fn a_connected_tenant_is_listed_with_who_would_tell_its_customer() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(3));
        let line = |told_after_ms| {
            let stands =
                TenantStands { tenant, mark: Mark(1), cut: None, local: None, told_after_ms };
            of(&LocalAnswer::Status(vec![stands])).0.join("")
        };
        assert!(line(Some(120_000)).contains("tells the customer after 120 s"));
        assert!(line(None).contains("NOBODY tells the customer"));
    }
}
