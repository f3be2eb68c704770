//! What time alone does: it owes monthly checks, declares breaches, ends a trial and the terms of
//! rules, looks for a place, orders again what failed, goes on with an off-boarding, calls the
//! provider's people to cuts that no customer knows of, reminds of open cuts, probes the channels
//! to contacts, and closes what is proven destroyed. It destroys nothing.

use super::{
    applying, calling, effect::Effect, grouping, leaving, paperwork, probing, reminding,
    step::Step, trying, wiping,
};
use crate::core::{
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationState,
    rules::OnBreach,
    tenant::{Isolation, OrderFate, OrderKind, Phase},
};

/// A configuration or stop that failed is ordered again after this much legal time, ms.
pub(super) const AGAIN_MS: i64 = 60_000;

pub(super) fn tick(step: &mut Step<'_>) {
    paperwork::monthly(step);
    declare_breaches(step);
    grouping::end_terms(step);
    if step.tenant.phase == Phase::Approved {
        applying::place(step);
    }
    reminding::remind(step);
    order_again(step);
    leaving::go_on(step);
    calling::call(step);
    remind(step);
    probing::probe(step);
    close(step);
}

fn declare_breaches(step: &mut Step<'_>) {
    let (now, real_now) = (step.context.now, step.context.real_now);
    let mut missed = Vec::new();
    for owed in &mut step.tenant.obligations {
        let clock = if owed.is_real_time() { real_now } else { now };
        match step.context.rules.rule(owed.id).on_breach {
            OnBreach::Elapse => {
                // The provider owes the days of the trial: their passing is how it pays.
                if let Some(end) = owed.breach_at().filter(|end| now >= *end)
                    && owed.state == ObligationState::Open
                {
                    owed.state = ObligationState::Discharged { at: end };
                }
            }
            OnBreach::None
            | OnBreach::Flag
            | OnBreach::Escalate
            | OnBreach::Hold
            | OnBreach::Refuse
            | OnBreach::Alarm => {
                if owed.expire(clock) {
                    missed.push(owed.clone());
                }
            }
        }
    }
    for owed in &missed {
        reminding::escalate(step, owed);
    }
    trying::expire(step);
}

fn order_again(step: &mut Step<'_>) {
    let now = step.context.now;
    let due: Vec<_> = step
        .tenant
        .orders
        .iter()
        .filter(|order| match &order.state {
            OrderFate::Failed { again_at: Some(at), .. } => now >= *at,
            OrderFate::Failed { again_at: None, .. } | OrderFate::Open | OrderFate::Done => false,
        })
        .map(|order| (order.id, order.host, order.kind))
        .collect();
    for (id, host, kind) in due {
        if still_wanted(step, kind) {
            step.order(host, kind);
        } else {
            step.tenant.orders.retain(|order| order.id != id);
        }
    }
}

/// Whether an order that failed would still be given today.
fn still_wanted(step: &Step<'_>, kind: OrderKind) -> bool {
    match kind {
        OrderKind::Configure => step.tenant.phase.is_open(),
        OrderKind::Stop => step.tenant.phase == Phase::Draining,
        OrderKind::Cut => matches!(step.tenant.isolation, Isolation::Cutting { .. }),
        OrderKind::Restore => match step.tenant.isolation {
            Isolation::Restoring { .. } => true,
            Isolation::Connected => step.tenant.phase.holds_resources(),
            Isolation::Cutting { .. } | Isolation::Cut { .. } => false,
        },
        OrderKind::Wipe => false,
    }
}

fn remind(step: &mut Step<'_>) {
    match step.tenant.isolation {
        Isolation::Cutting { .. } | Isolation::Cut { .. } => {}
        Isolation::Connected | Isolation::Restoring { .. } => return,
    }
    let now = step.context.now;
    let next = step.tenant.last_cut().and_then(|cut| step.reminder_at(cut));
    if next.is_some_and(|at| now >= at) {
        if let Some(cut) = step.tenant.cuts.last_mut() {
            cut.reminded_at = now;
        }
        let due = step.due();
        step.arm(NoticeKind::CutReminder, &Letter::CutReminder, &due);
    }
}

/// Closing needs proof of everything, and nothing else.
fn close(step: &mut Step<'_>) {
    if step.tenant.phase != Phase::WipeVerified || !wiping::everything_proven(&step.tenant) {
        return;
    }
    step.tenant.phase = Phase::Closed;
    step.lapse_all();
    step.effects.push(Effect::Exit);
    let due = step.due();
    step.arm(NoticeKind::Closed, &Letter::Closed, &due);
}
