//! What reaches the lifecycle from hosts, records and clocks, and from no person.

use super::*;

/// One of each event that is not a person's, and a signature about one of them.
pub(super) fn of_the_controller(now: Timestamp) -> Vec<Event> {
    let host = HostId::from_uuid(Uuid::from_u128(1));
    let order = tenure_protocol::id::OrderId::from_uuid(Uuid::from_u128(7));
    vec![
        Event::OrderReported {
            host,
            order,
            report: Reported::Refused { code: said("x"), message: said("y") },
        },
        Event::DrillMeasured {
            cut: CutId::from_uuid(Uuid::from_u128(13)),
            received_at: now,
            durable_at: now,
        },
        cut_by_host(now, 13, false),
        cut_by_host(now, 17, true),
        Event::NoticeDelivered {
            notice: NoticeId::from_uuid(Uuid::from_u128(9)),
            grade: Grade::E2,
            at: now,
        },
        Event::RecordCounts {
            fact: RecordFact {
                record: tenure_protocol::id::RecordId::from_uuid(Uuid::from_u128(11)),
                kind: crate::core::record::Kind::Inspection,
                effective_at: now,
                findings: 1,
                report: Some(document().sha256),
            },
        },
        Event::Recount {
            notice: "notice".to_owned(),
            reason: "new".to_owned(),
            changes: Vec::new(),
        },
        Event::SignRecount { id: ObligationId::O3, serial: 1, reason: "sound".to_owned() },
        Event::Tick,
    ]
}

/// A person on the first host cut the tenant, and perhaps ended that.
pub(super) fn cut_by_host(now: Timestamp, id: u128, over: bool) -> Event {
    let interval = CommitInterval { earliest: now, latest: now.plus_ms(1), took_ns: 1_000_000 };
    let by = said("wang.lei (login root) on host alpha");
    let restore = || HostRestore { by: by.clone(), reason: said("it was a drill"), interval };
    let made = HostCut {
        host: HostId::from_uuid(Uuid::from_u128(1)),
        cut: CutId::from_uuid(Uuid::from_u128(id)),
        ended: over.then(restore),
        by: by.clone(),
        reason: said("flood"),
        interval,
        foretold: false,
    };
    Event::CutByHost { made }
}

/// What sound hosts answer to the orders that are open.
pub(super) fn answers(tenant: &Tenant, now: Timestamp) -> Vec<Event> {
    let interval = CommitInterval { earliest: now, latest: now.plus_ms(1), took_ns: 1_000_000 };
    let open = tenant.orders.iter().filter(|order| order.state == OrderFate::Open);
    open.map(|order| {
        let here = tenant.instances().iter().filter(|instance| instance.host == order.host);
        let power = |power: Power| here.clone().map(|one| (one.id, power)).collect();
        let report = match order.kind {
            OrderKind::Configure => Reported::Configured { instances: power(Power::Running) },
            OrderKind::Stop => Reported::Configured { instances: power(Power::Stopped) },
            OrderKind::Cut => Reported::Cut { interval },
            OrderKind::Restore => Reported::Restored { interval },
            OrderKind::Wipe => Reported::Wiped {
                findings: tenant
                    .unproven(order.host)
                    .into_iter()
                    .map(|subject| Finding {
                        subject,
                        attempt: tenant.wipe.as_ref().map_or(0, |wipe| wipe.attempt),
                        result: FindingResult::Pass,
                        envelope: Digest::of(format!("{subject:?}").as_bytes()),
                    })
                    .collect(),
            },
        };
        Event::OrderReported { host: order.host, order: order.id, report }
    })
    .collect()
}
