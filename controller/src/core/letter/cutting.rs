//! The words of what is said about cuts.

use tenure_protocol::time::Timestamp;

use super::{Letter, Words, local};
use crate::core::{
    lifecycle::CutKind,
    tenant::{Contact, Cut, CutEnd, Rung, Tenant},
};

pub(super) fn announced(system: &str, reason: &str, now: &str) -> Words {
    Words {
        subject: format!("计划断网预告 Planned network cut: {system}"),
        chinese: format!(
            "计划临时断开贵单位系统的网络连接，断开后另行通知。原因：{reason}。通知时间：{now}。"
        ),
        english: format!(
            "the network of your system is going to be cut for a time; its instant follows. \
         Reason: {reason}. Notified at {now}."
        ),
    }
}

pub(super) fn called_off(system: &str, reason: &str) -> Words {
    Words {
        subject: format!("计划断网取消 Planned network cut called off: {system}"),
        chinese: format!("此前预告的断网已取消。说明：{reason}。"),
        english: format!("the cut that was announced does not take place. Details: {reason}."),
    }
}

/// What a kind of cut is called: in the subject, and in the sentences.
pub(super) const fn names_of(
    kind: CutKind,
) -> (&'static str, &'static str, &'static str, &'static str) {
    match kind {
        CutKind::Emergency => {
            ("紧急断网通知 Emergency network cut", "紧急", "an emergency", " in an emergency")
        }
        CutKind::Planned => {
            ("计划断网通知 Planned network cut", "按计划", "the planned", " as planned")
        }
    }
}

pub(super) fn cut(tenant: &Tenant, letter: &Letter, now: &str) -> Words {
    let system = &tenant.application.system.name;
    let Some(cut) = tenant.last_cut() else {
        return Words { subject: system.clone(), chinese: String::new(), english: String::new() };
    };
    let (number, reason, id) = (format!("#{}", cut.number), &cut.reason, cut.id);
    let (subject, how, article, why_english) = names_of(cut.kind);
    let t0 = cut.t0.map_or_else(|| "?".to_owned(), |t0| local(t0.earliest));
    let (subject, chinese, english) = match letter {
        Letter::CutDone => (
            subject,
            format!("贵单位系统的网络连接已于 {t0} {how}断开。原因：{reason}。"),
            format!("the network of your system was cut{why_english} at {t0}. Reason: {reason}."),
        ),
        Letter::CutReminder => (
            "断网提醒 The network cut is still open",
            format!("贵单位系统的网络连接自 {t0} 起仍处于断开状态。原因：{reason}。"),
            format!("the network of your system has been cut since {t0}. Reason: {reason}."),
        ),
        Letter::CutVoid { reason: why } => (
            "断网更正 Correction: the network was not cut",
            format!("此前通知的断网未能执行，网络连接保持畅通。说明：{why}。"),
            format!(
                "the cut that was announced was not carried out; the network is up. Details: {why}."
            ),
        ),
        Letter::RestoreOrdered => (
            "恢复网络 Network restore ordered",
            format!("已于 {now} 下令恢复贵单位系统的网络连接，恢复时刻另行通知。"),
            format!(
                "the restore of your system's network was ordered at {now}; its instant follows."
            ),
        ),
        Letter::RestoreDone => {
            let at = restored_at(cut).map_or_else(|| now.to_owned(), local);
            (
                "网络已恢复 Network restored",
                format!("贵单位系统的网络连接已于 {at} 恢复。"),
                format!("the network of your system was restored at {at}."),
            )
        }
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
        | Letter::Closed => (
            subject,
            format!(
                "已于 {now} 下令{how}断开贵单位系统的网络连接，断开时刻另行通知。原因：{reason}。"
            ),
            format!(
                "{article} cut of your system's network was ordered at {now}; its instant follows. \
                 Reason: {reason}."
            ),
        ),
    };
    Words {
        subject: format!("{subject} {number}: {system}"),
        chinese: format!("{chinese}\n断网编号：{number}（{id}）"),
        english: format!("{english}\nCut number: {number} ({id})"),
    }
}

/// To the provider's own people: the customer does not know yet, and whom to phone.
pub(super) fn untold(tenant: &Tenant, cut: Option<&Cut>, alarm: Rung, now: &str) -> Words {
    let system = &tenant.application.system.name;
    let Some(cut) = cut else {
        return Words { subject: system.clone(), chinese: String::new(), english: String::new() };
    };
    let (number, customer) = (cut.number, &tenant.application.customer);
    let since = local(cut.counts_from());
    let (since_zh, since_en) = if cut.t0.is_some() {
        ("断网时刻", "the cut's instant is")
    } else {
        ("断网时刻未知，下令时刻", "its instant is not known; it was ordered at")
    };
    let (subject, zh, en) = match alarm {
        Rung::SecondContacts => (
            "断网通知未送达 Cut not notified",
            "尚无任何通知送达。",
            "no notice has reached the customer yet.",
        ),
        Rung::Phone => (
            "请立即电话通知 Phone now: cut not notified",
            "仍无任何通知送达，请立即电话通知客户并登记确认。",
            "still no notice has reached the customer: phone it now, and record its \
             acknowledgement.",
        ),
    };
    let until = tenant.notify_by(cut).map_or_else(|| "?".to_owned(), local);
    let phones: Vec<String> = tenant.application.contacts.iter().filter_map(phone).collect();
    let (phones_zh, phones_en) = if phones.is_empty() {
        ("申请中未填电话".to_owned(), "the application names none".to_owned())
    } else {
        (phones.join("；"), phones.join("; "))
    };
    let record = format!("tenurectl cut-notice heard {} --cut {number} …", tenant.id);
    Words {
        subject: format!("{subject} #{number}: {system}"),
        chinese: format!(
            "紧急断网 #{number}（客户：{customer}）{zh}\n{since_zh}：{since}。法定通知期限：{until}。\
             当前时间：{now}。\n电话：{phones_zh}\n登记确认：{record}"
        ),
        english: format!(
            "of the emergency cut #{number} of {customer}, {en} {since_en} {since}; the customer \
             has to know before {until}; now it is {now}.\nPhones: {phones_en}\nRecord what you \
             hear: {record}"
        ),
    }
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
