//! The words of the notices: Chinese first, then English, and the same facts as JSON for webhooks.
//! Times are given in Asia/Shanghai with their offset.

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
    notice::{Notice, NoticeKind, NoticeState, designation},
    obligation::{Due, ObligationId, Party},
    rules::Period,
    tenant::{Contact, Cut, Designated, Rung, Tenant},
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

/// Renders a letter for every contact over every channel, in the application's order.
#[must_use]
pub fn render(
    tenant: &Tenant,
    kind: NoticeKind,
    letter: &Letter,
    state: &NoticeState,
    contacts: &[Contact],
    real_now: Timestamp,
    draw: &mut Draw,
) -> Vec<Notice> {
    let words = words(tenant, letter, real_now);
    let about = about(tenant, letter);
    let mut facts = facts(tenant, about, kind, &words, real_now);
    let cut = match kind {
        NoticeKind::Cut
        | NoticeKind::CutCorrection
        | NoticeKind::CutReminder
        | NoticeKind::DutyAlarm
        | NoticeKind::Restored => about.map(|cut| cut.id),
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
                body: words.over(&channel, tenant, &contact.name),
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
    /// The text for people, as long as the channel has room for.
    fn over(&self, channel: &Channel, tenant: &Tenant, contact: &str) -> String {
        match channel {
            Channel::Mail { .. } | Channel::Webhook { .. } => self.body(tenant, contact),
            Channel::Sms { .. } | Channel::Bot { .. } => {
                let system = &tenant.application.system;
                let name = &system.name;
                format!("{}\n系统：{name}（{}）\n租户：{}", self.chinese, system.code, tenant.id)
            }
        }
    }

    fn body(&self, tenant: &Tenant, contact: &str) -> String {
        let system = &tenant.application.system;
        format!(
            "{contact}：\n\n{}\n\n系统：{}（{}）\n租户：{}\n\n--\n\nTo {contact},\n\n{}\n\n\
             System: {} ({})\nTenant: {}\n",
            self.chinese,
            system.name,
            system.code,
            tenant.id,
            self.english,
            system.name,
            system.code,
            tenant.id
        )
    }
}

fn words(tenant: &Tenant, letter: &Letter, real_now: Timestamp) -> Words {
    let system = &tenant.application.system.name;
    let now = local(real_now);
    match letter {
        Letter::Handover { trial, deploy } => Words {
            subject: format!("资源开通通知 Resources handed over: {system}"),
            chinese: format!(
                "贵单位申请的云资源已完成配置并开通，共 {} 台实例。自本通知送达之日起，试用期 {} 开始计算；\
                 请在 {} 内开展部署。",
                tenant.instances().len(),
                trial.chinese(),
                deploy.chinese()
            ),
            english: format!(
                "the cloud resources that you applied for are configured and open: {} \
                 instance(s). The trial of {trial} counts from the delivery of this notice; \
                 please begin deployment within {deploy}.",
                tenant.instances().len()
            ),
        },
        Letter::CutAnnounced { reason } => cutting::announced(system, reason, &now),
        Letter::CutCalledOff { reason } => cutting::called_off(system, reason),
        Letter::Untold { cut: _, alarm } => {
            cutting::untold(tenant, about(tenant, letter), *alarm, &now)
        }
        Letter::CutOrdered
        | Letter::CutDone
        | Letter::CutVoid { .. }
        | Letter::CutReminder
        | Letter::RestoreOrdered
        | Letter::RestoreDone => cutting::cut(tenant, letter, &now),
        Letter::TrialExpired => Words {
            subject: format!("试用期届满 Trial expired: {system}"),
            chinese:
                "试用期已届满，尚未收到测试报告和安全风险评估报告。入站端口已关闭，实例和数据保留；\
                      请尽快提交报告。"
                    .to_owned(),
            english: "the trial has ended and the test report and security risk assessment \
                      report have not been received. Inbound ports are closed; instances and data \
                      are kept. Please hand in the reports."
                .to_owned(),
        },
        Letter::ConfirmationMissing => unconfirmed_words(system),
        Letter::SecondNotice { grace } => second_notice_words(system, *grace),
        Letter::RulesEnded { rules } => ended_words(system, rules),
        Letter::Inspection { month, findings, report } => {
            inspection_words(system, *month, *findings, *report)
        }
        Letter::Probe { month } => contacts::probe(tenant, *month),
        Letter::ProbeUnanswered { month, silent, acknowledged } => {
            contacts::unanswered(tenant, *month, silent, *acknowledged)
        }
        Letter::ContactsChanged { by } => contacts::changed(tenant, by, &now),
        Letter::Reminder(reminder) => reminder_words(tenant, reminder),
        Letter::Closed => Words {
            subject: format!("下线完成 Off-boarding complete: {system}"),
            chinese: format!(
                "贵单位的磁盘、内存和密钥已全部清除，每一项均有签名证明，可凭退出证据包独立核验。时间：{now}。"
            ),
            english: format!(
                "all volumes, memory and keys of your system are destroyed, each with a signed \
                 attestation that can be verified from the exit bundle. Time: {now}."
            ),
        },
    }
}

fn ended_words(system: &str, rules: &[(String, String)]) -> Words {
    let list = |of: &str| {
        let each = rules.iter().map(|(group, purpose)| format!("{group}{of}{purpose}"));
        each.collect::<Vec<_>>()
    };
    Words {
        subject: format!("安全组规则到期 Rules of security groups ended: {system}"),
        chinese: format!(
            "下列安全组规则的期限已届满，不再放行任何流量：{}。如仍需要，请重新设置安全组。",
            list("：").join("；")
        ),
        english: format!(
            "the terms of these rules of your security groups are over, and they let nothing pass \
             any more: {}. If they are still needed, set the groups anew.",
            list(": ").join("; ")
        ),
    }
}

fn inspection_words(system: &str, month: Date, findings: usize, report: Option<Digest>) -> Words {
    let month = month.strftime("%Y-%m");
    let report = report.map_or_else(|| "-".to_owned(), |report| report.to_string());
    Words {
        subject: format!("安全检查报告 Security check {month}: {system}"),
        chinese: format!(
            "贵单位系统 {month} 的安全检查已完成，发现问题 {findings} 项。检查报告和优化建议已归档，\
             请在“记录”和“附件”中查看并下载。报告的 SHA-256：{report}"
        ),
        english: format!(
            "the security check of your system for {month} is done, with {findings} finding(s). \
             Its report and advice are filed: read them among your records and attachments. \
             SHA-256 of the report: {report}"
        ),
    }
}

fn unconfirmed_words(system: &str) -> Words {
    Words {
        subject: format!("请确认迁移和备份 Please confirm migration and backup: {system}"),
        chinese: "计划下线日已到，尚未收到贵单位对数据迁移和备份的确认。收到确认前不停机、不清除；\
              如仍无确认，将第二次通知。"
            .to_owned(),
        english: "the planned stop day has come, and migration and backup are not confirmed. \
              Nothing is stopped or destroyed before that; without it a second notice \
              follows."
            .to_owned(),
    }
}

fn second_notice_words(system: &str, grace: u32) -> Words {
    Words {
        subject: format!("第二次通知：请确认迁移和备份 Second notice: {system}"),
        chinese: format!(
            "这是第二次通知。自本通知送达之日起 {grace} 个工作日内仍未确认迁移和备份的，实例将停机；\
         数据须经云服务方两人批准后方可清除。如有异议，请立即联系云服务方。"
        ),
        english: format!(
            "this is the second notice. If migration and backup are not confirmed within \
         {grace} working days of its delivery, the instances are stopped; data is \
         destroyed only after two persons of the provider have approved it. If you \
         object, call the provider at once."
        ),
    }
}

fn reminder_words(tenant: &Tenant, reminder: &Reminder) -> Words {
    let Reminder { id, clause, quote, party, due, today } = reminder;
    let (id, system) = (id.as_str(), &tenant.application.system.name);
    let (zh, en) = match party {
        Party::Customer => ("云服务客户", "the customer"),
        Party::Provider => ("云服务方", "the provider"),
    };
    let until = match due {
        Due::Day { last_day, .. } => last_day.to_string(),
        Due::Instant { due_at } => local(*due_at),
        Due::Never => "-".to_owned(),
    };
    let missed =
        due.last_day().is_some_and(|last| last < *today) || matches!(due, Due::Instant { .. });
    let (subject, zh_state, en_state) = if missed {
        ("逾期提醒 Overdue", "已逾期", "is overdue")
    } else {
        ("到期提醒 Due soon", "尚未履行", "is still open")
    };
    Words {
        subject: format!("{subject}: {id}, {until}: {system}"),
        chinese: format!(
            "第 {clause} 条（{id}）由{zh}履行的义务{zh_state}，期限：{until}（含当日）。标准原文：{quote}"
        ),
        english: format!(
            "obligation {id} of clause {clause}, owed by {en}, {en_state}. Last day: {until}, \
             until its end in Asia/Shanghai. The standard says: {quote}"
        ),
    }
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
            "number": cut.number,
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

pub(super) fn local(at: Timestamp) -> String {
    let instant =
        jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zone = TimeZone::fixed(Offset::constant(8));
    instant.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%.3f +08:00").to_string()
}

#[cfg(test)]
#[path = "letter_tests.rs"]
mod tests;
