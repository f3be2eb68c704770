//! What the notices say: Chinese first, then English, and the same facts as JSON for webhooks. The
//! words are templates (`language`); here is chosen which, and what is put in their places. Times
//! are given in Asia/Shanghai with their offset.

#[macro_use]
mod language;

mod contacts;
mod cutting;
mod joint;

use jiff::{
    civil::Date,
    tz::{Offset, TimeZone},
};
use serde_json::{Value, json};
use tenure_protocol::{
    channel::{Channel, destination},
    digest::Digest,
    id::NoticeId,
    time::Timestamp,
};

use super::{
    draw::Draw,
    lifecycle::CutKind,
    notice::{Notice, NoticeKind, NoticeState, designation},
    obligation::{Due, ObligationId, Party},
    rules::Period,
    tenant::{Contact, Cut, Designated, Former, Rung, Tenant},
};

/// What a letter is about; the facts are in the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// The resources are ready.
    Handover {
        /// How long the trial is.
        trial: Period,
        /// Within what deployment has to begin.
        deploy: Period,
    },
    /// A cut is planned.
    CutAnnounced {
        /// Why, in the operator's words.
        reason: String,
    },
    /// The planned cut does not take place.
    CutCalledOff {
        /// Why, in the operator's words.
        reason: String,
    },
    /// A cut is ordered; its instant is not known yet.
    CutOrdered,
    /// The traffic is cut, since t0.
    CutDone,
    /// A person cut on a host itself; written ahead, for the host to send.
    CutOnHost,
    /// The cut did not happen.
    CutVoid {
        /// The hosts' words.
        reason: String,
    },
    /// Nothing of grade E2 is known of an emergency cut: somebody has to phone.
    Untold {
        /// The cut's number.
        cut: u32,
        /// Which alarm it is.
        alarm: Rung,
    },
    /// The cut is still open.
    CutReminder,
    /// The end of the cut is ordered.
    RestoreOrdered,
    /// The traffic passes again.
    RestoreDone,
    /// The trial ended without reports.
    TrialExpired,
    /// The stop day has come without the customer's confirmation.
    ConfirmationMissing,
    /// The same a second time.
    SecondNotice {
        /// Work days after its delivery, before the instances are stopped.
        grace: u32,
    },
    /// Rules of security groups let nothing pass any more.
    RulesEnded {
        /// Each by its group and purpose.
        rules: Vec<(String, String)>,
    },
    /// A monthly security check is done, and its report there.
    Inspection {
        /// The first day of its month.
        month: Date,
        /// How many findings it has.
        findings: usize,
        /// The report, by its digest.
        report: Option<Digest>,
    },
    /// The monthly probe of the channels to the customer's contacts.
    Probe {
        /// The first day of its month.
        month: Date,
    },
    /// What a week did not bring of a probe.
    ProbeUnanswered {
        /// The first day of its month.
        month: Date,
        /// The channels that took nothing.
        silent: Vec<String>,
        /// Whether the customer acknowledged it.
        acknowledged: bool,
    },
    /// The customer's contacts are others now.
    ContactsChanged {
        /// Who changed them.
        by: String,
    },
    /// Everything is destroyed and proven so.
    Closed,
    /// What somebody owes, and until when.
    Reminder(Box<Reminder>),
}

/// What a reminder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// Of which obligation.
    pub id: ObligationId,
    /// Clause of the standard.
    pub clause: String,
    /// Its words.
    pub quote: String,
    /// Who owes it.
    pub party: Party,
    /// Until when.
    pub due: Due,
    /// The legal day on which it is written.
    pub today: Date,
}

pub(super) use joint::write as write_joint;
use language::Language;
pub use language::{Letters, LettersError};

/// As [`render`], for contacts that were replaced: each letter says by whom.
#[must_use]
pub fn render_former(
    (letters, letter): (&Letters, &Letter),
    tenant: &Tenant,
    kind: NoticeKind,
    state: &NoticeState,
    former: &[Former],
    real_now: Timestamp,
    draw: &mut Draw,
) -> Vec<Notice> {
    let mut all = Vec::new();
    for one in former {
        let contact = std::slice::from_ref(&one.contact);
        let mut notices = render((letters, letter), tenant, kind, state, contact, real_now, draw);
        notices.iter_mut().for_each(|notice| contacts::to_former(letters, notice, one));
        all.append(&mut notices);
    }
    all
}

/// Renders a letter for every contact over every channel, in the application's order.
#[must_use]
pub fn render(
    (letters, letter): (&Letters, &Letter),
    tenant: &Tenant,
    kind: NoticeKind,
    state: &NoticeState,
    contacts: &[Contact],
    real_now: Timestamp,
    draw: &mut Draw,
) -> Vec<Notice> {
    let mut words = words(letters, tenant, letter, real_now);
    let abouts =
        [&letters.chinese, &letters.english].map(|language| about_system(language, tenant));
    let about = about(tenant, letter);
    let cut = match kind {
        NoticeKind::Cut
        | NoticeKind::CutCorrection
        | NoticeKind::CutReminder
        | NoticeKind::DutyAlarm
        | NoticeKind::Restored => about,
        NoticeKind::Handover
        | NoticeKind::CutAnnounced
        | NoticeKind::CutCalledOff
        | NoticeKind::TrialExpired
        | NoticeKind::ConfirmationMissing
        | NoticeKind::SecondNotice
        | NoticeKind::RulesEnded
        | NoticeKind::Inspection
        | NoticeKind::Probe
        | NoticeKind::ContactsChanged
        | NoticeKind::Closed
        | NoticeKind::Reminder
        | NoticeKind::ProviderReminder
        | NoticeKind::HostAlarm => None,
    };
    let drill = cut.is_some_and(|cut| cut.kind == CutKind::Drill);
    if drill {
        words = words.of_a_drill(letters);
    }
    let mut facts = facts(tenant, about, kind, &words, real_now);
    if drill {
        facts["data"]["drill"] = json!(true);
    }
    let cut = cut.map(|cut| cut.id);
    let mut notices = Vec::new();
    for contact in contacts {
        // What goes to the provider's own desks is the provider's to judge.
        let designates = |channel: &Channel| {
            kind.is_providers() || contact.designated.contains(&designation(channel))
        };
        for channel in channels(contact) {
            let id = NoticeId::from_uuid(draw.uuid());
            facts["id"] = json!(id);
            notices.push(Notice {
                id,
                tenant: Some(tenant.id),
                cut,
                kind,
                contact: contact.name.clone(),
                designated: designates(&channel),
                subject: words.subject.clone(),
                body: words.over(letters, &channel, &contact.name, &abouts),
                channel,
                payload: facts.to_string(),
                state: state.clone(),
                tries: Vec::new(),
                joint: None,
            });
        }
    }
    notices
}

/// The ways to a contact. A mobile telephone is for people to call, unless short messages to it are
/// designated.
pub(super) fn channels(contact: &Contact) -> impl Iterator<Item = Channel> {
    let mail = contact.email.iter().map(|address| Channel::Mail { address: address.clone() });
    let webhook = contact.webhook.iter().map(|webhook| Channel::Webhook {
        url: webhook.url.clone(),
        secret: webhook.secret.clone(),
    });
    let mobile = contact.mobile.iter().filter(|_| contact.designated.contains(&Designated::Sms));
    let sms = mobile.filter_map(|text| destination::mobile(text).ok());
    let bot = contact.bot.iter().map(|bot| Channel::Bot {
        kind: bot.kind,
        url: bot.url.clone(),
        secret: bot.secret.clone(),
    });
    mail.chain(webhook).chain(sms.map(|number| Channel::Sms { number })).chain(bot)
}

impl Notice {
    /// Gives it another id, in its payload too.
    pub fn readdress(&mut self, id: NoticeId) {
        self.id = id;
        if let Ok(Value::Object(mut facts)) = serde_json::from_str(&self.payload) {
            facts.insert("id".to_owned(), json!(id));
            self.payload = Value::Object(facts).to_string();
        }
    }
}

/// The cut that a letter is about, if it is about one.
fn about<'a>(tenant: &'a Tenant, letter: &Letter) -> Option<&'a Cut> {
    if let Letter::Untold { cut, .. } = letter {
        return tenant.cuts.iter().rfind(|known| known.number == *cut);
    }
    tenant.last_cut()
}

struct Words {
    subject: String,
    chinese: String,
    english: String,
}

impl Words {
    /// Of something of which nothing is known but the system's name.
    fn bare(system: &str) -> Self {
        Self { subject: system.to_owned(), chinese: String::new(), english: String::new() }
    }

    /// Says first, and wherever people look, that it is a drill.
    fn of_a_drill(self, letters: &Letters) -> Self {
        let Self { subject, chinese, english } = self;
        let drill = letters.words("drill", |_| variables!["subject" => subject.as_str()]);
        Self {
            subject: format!("【{}】{subject}", drill.subject),
            chinese: format!("{}\n{chinese}", drill.chinese),
            english: format!("{}\n{english}", drill.english),
        }
    }

    /// The text for people, as long as the channel has room for.
    fn over(
        &self,
        letters: &Letters,
        channel: &Channel,
        contact: &str,
        [zh, en]: &[String; 2],
    ) -> String {
        match channel {
            Channel::Mail { .. } | Channel::Webhook { .. } => {
                letters.mail(contact, [&self.chinese, &self.english], [zh, en])
            }
            Channel::Sms { .. } | Channel::Bot { .. } => format!("{}\n{zh}", self.chinese),
        }
    }
}

fn about_system(language: &Language, tenant: &Tenant) -> String {
    let system = &tenant.application.system;
    let variables = variables![
        "system" => system.name.as_str(),
        "code" => system.code.as_str(),
        "tenant" => tenant.id.to_string(),
    ];
    language.say("about-system", &variables)
}

fn words(letters: &Letters, tenant: &Tenant, letter: &Letter, real_now: Timestamp) -> Words {
    let system = tenant.application.system.name.as_str();
    let now = local(real_now);
    let plain = |id: &str, reason: &str| {
        letters.words(id, |_| {
            variables!["system" => system, "now" => now.as_str(), "reason" => reason.to_owned()]
        })
    };
    match letter {
        Letter::Handover { trial, deploy } => letters.words("handover", |language| {
            variables![
                "system" => system,
                "instances" => tenant.instances().len().to_string(),
                "trial" => language.period(*trial),
                "deploy" => language.period(*deploy),
            ]
        }),
        Letter::CutAnnounced { reason } => plain("cut-announced", reason),
        Letter::CutCalledOff { reason } => plain("cut-called-off", reason),
        Letter::Untold { cut: _, alarm } => {
            cutting::untold(letters, tenant, about(tenant, letter), *alarm, &now)
        }
        Letter::CutOrdered
        | Letter::CutDone
        | Letter::CutOnHost
        | Letter::CutVoid { .. }
        | Letter::CutReminder
        | Letter::RestoreOrdered
        | Letter::RestoreDone => cutting::cut(letters, tenant, letter, &now),
        Letter::TrialExpired => plain("trial-expired", ""),
        Letter::ConfirmationMissing => plain("confirmation-missing", ""),
        Letter::SecondNotice { grace } => letters.words(
            "second-notice",
            |_| variables!["system" => system, "grace" => grace.to_string()],
        ),
        Letter::RulesEnded { rules } => ended_words(letters, system, rules),
        Letter::Inspection { month, findings, report } => letters.words("inspection", |_| {
            variables![
                "system" => system,
                "month" => month_of(*month),
                "findings" => findings.to_string(),
                "report" => report.map_or_else(|| "-".to_owned(), |report| report.to_string()),
            ]
        }),
        Letter::Probe { month } => contacts::probe(letters, tenant, *month),
        Letter::ProbeUnanswered { month, silent, acknowledged } => {
            contacts::unanswered(letters, tenant, *month, silent, *acknowledged)
        }
        Letter::ContactsChanged { by } => contacts::changed(letters, tenant, by, &now),
        Letter::Reminder(reminder) => reminder_words(letters, system, reminder),
        Letter::Closed => plain("closed", ""),
    }
}

fn ended_words(letters: &Letters, system: &str, rules: &[(String, String)]) -> Words {
    letters.words("rules-ended", |language| {
        let one = |(group, purpose): &(String, String)| {
            let variables = variables!["group" => group.as_str(), "purpose" => purpose.as_str()];
            language.say("rules-ended-one", &variables)
        };
        let rules: Vec<String> = rules.iter().map(one).collect();
        variables!["system" => system.to_owned(), "rules" => language.list(&rules)]
    })
}

fn reminder_words(letters: &Letters, system: &str, reminder: &Reminder) -> Words {
    let Reminder { id, clause, quote, party, due, today } = reminder;
    let missed =
        due.last_day().is_some_and(|last| last < *today) || matches!(due, Due::Instant { .. });
    letters.words("reminder", |_| {
        variables![
            "system" => system,
            "id" => id.as_str(),
            "clause" => clause.as_str(),
            "quote" => quote.as_str(),
            "party" => match party {
                Party::Customer => "customer",
                Party::Provider => "provider",
            },
            "state" => if missed { "overdue" } else { "open" },
            "until" => match due {
                Due::Day { last_day, .. } => last_day.to_string(),
                Due::Instant { due_at } => local(*due_at),
                Due::Never => "-".to_owned(),
            },
        ]
    })
}

fn facts(
    tenant: &Tenant,
    about: Option<&Cut>,
    kind: NoticeKind,
    words: &Words,
    real_now: Timestamp,
) -> Value {
    let application = &tenant.application;
    let cut = about.map(|cut| {
        json!({
            "id": cut.id,
            "number": (cut.number > 0).then_some(cut.number),
            "reason": cut.reason,
            "t0": cut.t0,
            "notify_by": tenant.notify_by(cut),
            "restored_at": cutting::restored_at(cut),
        })
    });
    json!({
        "type": format!("tenure.{}", kind.as_str()),
        "timestamp": real_now,
        "data": {
            "tenant": tenant.id,
            "customer": application.customer,
            "system": {"name": application.system.name, "code": application.system.code},
            "cut": cut,
            "subject": words.subject,
            "text": {"zh-CN": words.chinese, "en": words.english},
        },
    })
}

fn month_of(date: Date) -> String {
    date.strftime("%Y-%m").to_string()
}

pub(super) fn local(at: Timestamp) -> String {
    let instant =
        jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zone = TimeZone::fixed(Offset::constant(8));
    instant.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%.3f +08:00").to_string()
}

#[cfg(test)]
#[path = "letter_tests.rs"]
mod tests;
