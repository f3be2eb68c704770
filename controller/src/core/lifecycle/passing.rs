//! What time alone does: it declares breaches, holds an expired trial, orders again what failed,
//! begins the stop, reminds of open cuts, and closes what is proven destroyed. It destroys nothing.

use super::{event::Effect, leaving, paperwork, reminding, step::Step};
use crate::core::{
    calendar::start_of_day,
    letter::Letter,
    notice::NoticeKind,
    obligation::ObligationState,
    rules::OnBreach,
    tenant::{Isolation, OrderFate, OrderKind, Phase},
};

/// A configuration or stop that failed is ordered again after this much legal time, ms.
pub(super) const AGAIN_MS: i64 = 60_000;

pub(super) fn tick(step: &mut Step<'_>) {
    declare_breaches(step);
    reminding::remind(step);
    order_again(step);
    begin_stop(step);
    paperwork::monthly(step);
    remind(step);
    close(step);
}

fn declare_breaches(step: &mut Step<'_>) {
    let (now, real_now) = (step.context.now, step.context.real_now);
    let (mut expired_trial, mut missed) = (false, Vec::new());
    for owed in &mut step.tenant.obligations {
        let clock = if owed.is_real_time() { real_now } else { now };
        let on_breach = step.context.rules.rule(owed.id).on_breach;
        if on_breach == OnBreach::Elapse {
            // The provider owes the days of the trial: their passing is how it pays.
            if let Some(end) = owed.breach_at().filter(|end| now >= *end)
                && owed.state == ObligationState::Open
            {
                owed.state = ObligationState::Discharged { at: end };
            }
            continue;
        }
        let breached = owed.expire(clock);
        if breached {
            missed.push(owed.clone());
        }
        expired_trial |= breached && on_breach == OnBreach::Hold;
    }
    for owed in &missed {
        reminding::escalate(step, owed);
    }
    if expired_trial && matches!(step.tenant.phase, Phase::Trial | Phase::Rectifying) {
        hold(step);
    }
}

/// The trial ended without reports: ports are closed, instances kept, the customer told.
fn hold(step: &mut Step<'_>) {
    match &mut step.tenant.trial {
        Some(trial) if !trial.expired => trial.expired = true,
        Some(_) | None => return,
    }
    step.order_all(OrderKind::Configure);
    let due = step.due();
    step.arm(NoticeKind::TrialExpired, &Letter::TrialExpired, &due);
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
        OrderKind::Configure => matches!(
            step.tenant.phase,
            Phase::Trial
                | Phase::UnderReview
                | Phase::Rectifying
                | Phase::Online
                | Phase::OffboardingRequested
                | Phase::OffboardingApproved
        ),
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

fn begin_stop(step: &mut Step<'_>) {
    let may_stop = step.tenant.phase == Phase::OffboardingApproved
        && step.tenant.offboarding.as_ref().is_some_and(|leaving| {
            leaving.confirmed_at.is_some() && step.context.now >= start_of_day(leaving.stop_day)
        });
    if may_stop {
        leaving::drain(step);
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
    if step.tenant.phase != Phase::WipeVerified || !leaving::everything_proven(step) {
        return;
    }
    step.tenant.phase = Phase::Closed;
    let now = step.context.now;
    for owed in &mut step.tenant.obligations {
        owed.lapse(now);
    }
    step.effects.push(Effect::Exit);
    let due = step.due();
    step.arm(NoticeKind::Closed, &Letter::Closed, &due);
}
