//! Contacts: the customer changes them at any time, and each month every channel to them is probed.
//!
//! ```text
//! first Work day of a month ─▶ a notice over every channel ─┬▶ taken: its grade is kept
//!                                                           └▶ acknowledged by the customer
//!                       after a week, if either is missing ─▶ the provider is told, and the desk
//! ```
//! New contacts are probed at once, and those before them are told; of cuts they are told for some
//! days more ([`Former`](crate::core::tenant::Former)).

use jiff::civil::Date;
use tenure_protocol::{channel::Grade, id::NoticeId, time::Timestamp};

use super::{Context, effect::Effect, step::Step};
use crate::core::{
    calendar::{legal_day, plus_days, start_of_day},
    letter::Letter,
    notice::{Notice, NoticeKind},
    refusal::{Code, Refusal},
    tenant::{Contact, Probe, ProbeAcknowledged, Probed, Tenant},
};

/// Contacts change at most once in this time, ms: each change is sent to all of them.
const PAUSE_MS: i64 = 10 * 60_000;

/// So many days a probe has to be taken and acknowledged.
const ANSWER_DAYS: i32 = 7;

/// The customer's contacts from now on. Who is no more reached in some way is told in that way.
pub(super) fn set_contacts(step: &mut Step<'_>, contacts: &[Contact]) -> Result<(), Refusal> {
    let now = step.now();
    if let Some(probe) = &step.tenant.probe {
        if now.ms_since(probe.sent_at) < PAUSE_MS {
            return Err(Refusal::new(
                Code::TooSoon,
                "the contacts were probed or changed less than 10 minutes ago: try again later",
            ));
        }
        let notices: Vec<_> = probe.silent().map(|one| one.notice).collect();
        let reason = "the contacts are others now".to_owned();
        step.effects.push(Effect::Stop { notices, reason });
    }
    step.applicant();
    let (due, by) = (step.due(), step.actor.name.clone());
    let before = step.tenant.replace_contacts(contacts, &by, now);
    let gone: Vec<_> = before.iter().filter_map(|one| one.gone_from(contacts)).collect();
    step.arm_for(NoticeKind::ContactsChanged, &Letter::ContactsChanged { by }, &due, &gone);
    send(step);
    Ok(())
}

/// A person of the customer has seen the probe, and the contacts are as they should be.
pub(super) fn acknowledge(step: &mut Step<'_>) -> Result<(), Refusal> {
    let (person, at) = (step.actor.name.clone(), step.now());
    let probe = step.tenant.probe.as_mut().filter(|probe| probe.acknowledged.is_none());
    let Some(probe) = probe else {
        return Err(Refusal::new(
            Code::AlreadyAcknowledged,
            "no probe of the contacts waits for an acknowledgement: the next one goes out on the \
             first working day of the next month",
        ));
    };
    probe.acknowledged = Some(ProbeAcknowledged { person, at });
    step.applicant();
    Ok(())
}

/// A channel took its notice.
pub(super) fn delivered(step: &mut Step<'_>, notice: NoticeId, grade: Grade) {
    let channels = step.tenant.probe.iter_mut().flat_map(|probe| &mut probe.channels);
    for probed in channels.filter(|probed| probed.notice == notice) {
        probed.grade = probed.grade.max(Some(grade));
    }
}

/// Sends the month's probe once its day has come, and tells the provider what a week did not bring.
pub(super) fn probe(step: &mut Step<'_>) {
    let now = step.now();
    if sends_at(&step.tenant, step.context).is_some_and(|at| at <= now) {
        send(step);
    }
    if tells_at(&step.tenant, step.context).is_none_or(|at| now < at) {
        return;
    }
    let Some(probe) = &mut step.tenant.probe else { return };
    probe.told = true;
    let letter = Letter::ProbeUnanswered {
        month: probe.month,
        silent: probe.silent().map(|one| format!("{} ({})", one.contact, one.channel)).collect(),
        acknowledged: probe.acknowledged.is_some(),
    };
    let (due, provider) = (step.due(), step.context.provider);
    step.arm_for(NoticeKind::ProviderReminder, &letter, &due, &provider.contacts);
}

/// The next legal instant at which [`probe`] has something to do.
pub(super) fn next_at(step: &Step<'_>) -> Option<Timestamp> {
    let (tenant, context) = (&step.tenant, step.context);
    sends_at(tenant, context).into_iter().chain(tells_at(tenant, context)).min()
}

/// When the next probe goes out: on the first Work day of the month after the last one, or after
/// the opening, whose hand-over notice went to all of them.
fn sends_at(tenant: &Tenant, context: &Context<'_>) -> Option<Timestamp> {
    let opened = legal_day(tenant.opened_at.filter(|_| tenant.phase.is_open())?);
    let last = tenant.probe.as_ref().map_or(opened, |probe| probe.month);
    let day = context.calendar.working_days(last.last_of_month(), 1).earliest;
    Some(at_hour(day, context))
}

fn tells_at(tenant: &Tenant, context: &Context<'_>) -> Option<Timestamp> {
    let probe = tenant.probe.as_ref().filter(|_| tenant.phase.is_open())?;
    let waits = !probe.told && !probe.is_sound();
    waits.then(|| at_hour(plus_days(legal_day(probe.sent_at), ANSWER_DAYS), context))
}

fn at_hour(day: Date, context: &Context<'_>) -> Timestamp {
    start_of_day(day).plus_ms(i64::from(context.rules.reminder_hour()) * 3_600_000)
}

fn send(step: &mut Step<'_>) {
    let (due, month) = (step.due(), step.today().first_of_month());
    let notices = step.render(NoticeKind::Probe, &Letter::Probe { month }, &due);
    let probed = |notice: &Notice| Probed {
        contact: notice.contact.clone(),
        channel: notice.channel.as_str().to_owned(),
        notice: notice.id,
        grade: None,
    };
    step.tenant.probe = Some(Probe {
        month,
        sent_at: step.now(),
        channels: notices.iter().map(probed).collect(),
        acknowledged: None,
        told: false,
    });
    step.arm_rendered(notices);
}
