//! The words of what is said about cuts.

use tenure_protocol::time::Timestamp;

use super::{Letter, Words, local};
use crate::core::{
    lifecycle::CutKind,
    tenant::{Cut, CutEnd, Tenant},
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
const fn names_of(kind: CutKind) -> (&'static str, &'static str, &'static str, &'static str) {
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
    let number = format!("#{}", cut.number);
    let (reason, id) = (&cut.reason, cut.id);
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
        | Letter::SecondNotice { .. }
        | Letter::RulesEnded { .. }
        | Letter::Inspection { .. }
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

pub(super) const fn restored_at(cut: &Cut) -> Option<Timestamp> {
    match &cut.end {
        CutEnd::Restored { at, .. } => *at,
        CutEnd::Open | CutEnd::Void { .. } => None,
    }
}
