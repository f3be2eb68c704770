//! The words of what is said about cuts.

use fluent_bundle::FluentArgs;
use tenure_protocol::time::Timestamp;

use super::{Language, Letter, Letters, Words, local};
use crate::core::{
    lifecycle::CutKind,
    tenant::{Contact, Cut, CutEnd, Rung, Tenant},
};

/// What the templates call a kind of cut.
pub(super) const fn name_of(kind: CutKind) -> &'static str {
    match kind {
        CutKind::Emergency | CutKind::Drill => "emergency",
        CutKind::Planned => "planned",
    }
}

pub(super) fn cut(letters: &Letters, tenant: &Tenant, letter: &Letter, now: &str) -> Words {
    let system = tenant.application.system.name.as_str();
    let Some(cut) = tenant.last_cut() else { return Words::bare(system) };
    let (mut id, mut details) = ("cut-ordered", "");
    match letter {
        Letter::CutDone => id = "cut-done",
        Letter::CutOnHost => id = "cut-on-host",
        Letter::CutReminder => id = "cut-reminder",
        Letter::CutVoid { reason } => (id, details) = ("cut-void", reason.as_str()),
        Letter::RestoreOrdered => id = "restore-ordered",
        Letter::RestoreDone => id = "restore-done",
        Letter::CutOrdered
        | Letter::Handover { .. }
        | Letter::CutAnnounced { .. }
        | Letter::CutCalledOff { .. }
        | Letter::TrialExpired
        | Letter::ConfirmationMissing
        | Letter::Untold { .. }
        | Letter::SecondNotice { .. }
        | Letter::RulesEnded { .. }
        | Letter::Inspection { .. }
        | Letter::Probe { .. }
        | Letter::ProbeUnanswered { .. }
        | Letter::ContactsChanged { .. }
        | Letter::Reminder(_)
        | Letter::Closed => {}
    }
    let t0 = cut.t0.map_or_else(|| "?".to_owned(), |t0| local(t0.earliest));
    let restored = restored_at(cut).map_or_else(|| now.to_owned(), local);
    letters.words(id, |_| {
        variables![
            "system" => system,
            "kind" => name_of(cut.kind),
            "number" => cut.number.to_string(),
            "id" => cut.id.to_string(),
            "reason" => cut.reason.as_str(),
            "details" => details,
            "t0" => t0.as_str(),
            "restored" => restored.as_str(),
            "now" => now,
        ]
    })
}

/// To the provider's own people: the customer does not know yet, and whom to phone.
pub(super) fn untold(
    letters: &Letters,
    tenant: &Tenant,
    cut: Option<&Cut>,
    alarm: Rung,
    now: &str,
) -> Words {
    let system = tenant.application.system.name.as_str();
    let Some(cut) = cut else { return Words::bare(system) };
    let phones: Vec<String> = tenant.application.contacts.iter().filter_map(phone).collect();
    let phones = |language: &Language| match phones.as_slice() {
        [] => language.say("no-phones", &FluentArgs::new()),
        some => language.list(some),
    };
    let number = cut.number.to_string();
    letters.words("untold", |language| {
        variables![
            "system" => system,
            "customer" => tenant.application.customer.as_str(),
            "number" => number.as_str(),
            "alarm" => match alarm {
                Rung::SecondContacts => "second-contacts",
                Rung::Phone => "phone",
            },
            "t0" => if cut.t0.is_some() { "known" } else { "unknown" },
            "since" => local(cut.counts_from()),
            "until" => tenant.notify_by(cut).map_or_else(|| "?".to_owned(), local),
            "now" => now,
            "phones" => phones(language),
            "record" => format!("tenurectl cut-notice heard {} --cut {number} …", tenant.id),
        ]
    })
}

fn phone(contact: &Contact) -> Option<String> {
    let mobile = contact.mobile.as_ref()?;
    let available = contact.available.as_ref().map(|when| format!(" ({when})"));
    Some(format!("{} {mobile}{}", contact.name, available.unwrap_or_default()))
}

pub(super) const fn restored_at(cut: &Cut) -> Option<Timestamp> {
    match &cut.end {
        CutEnd::Restored { at, .. } => *at,
        CutEnd::Open | CutEnd::Void { .. } => None,
    }
}
