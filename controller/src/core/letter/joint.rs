//! The words of joint notices: what happened to each of a customer's systems, a line each.

use serde_json::{Value, json};
use tenure_protocol::{channel::Channel, time::Timestamp};

use super::{cutting, local};
use crate::core::{
    joint::{Joint, Part, Said},
    notice::{Notice, NoticeKind},
};

/// Systems that are named where a message has to be short.
const NAMED: usize = 5;

/// Writes subject, text and payload of a joint notice anew, from what it says of each system.
pub(in crate::core) fn write(notice: &mut Notice, real_now: Timestamp) {
    let Some(joint) = notice.joint.take() else { return };
    let (chinese, english) = head(notice.kind, &joint);
    notice.subject = subject(notice.kind, &joint);
    let lines = |of: fn(&Part) -> String| {
        let each = joint.parts.iter().enumerate();
        let each = each.map(|(place, part)| format!("{}. {}", place + 1, of(part)));
        each.collect::<Vec<_>>().join("\n")
    };
    let (contact, zh, en) = (&notice.contact, lines(line_zh), lines(line_en));
    notice.body = match notice.channel {
        Channel::Mail { .. } | Channel::Webhook { .. } => format!(
            "{contact}：\n\n{chinese}\n\n{zh}\n\n--\n\nTo {contact},\n\n{english}\n\n{en}\n"
        ),
        Channel::Sms { .. } | Channel::Bot { .. } => {
            format!("{chinese}\n{}", short(&joint.parts))
        }
    };
    notice.payload = json!({
        "id": notice.id,
        "type": format!("tenure.{}", notice.kind.as_str()),
        "timestamp": real_now,
        "data": {
            "customer": joint.customer,
            "cuts": joint.parts.iter().map(facts).collect::<Vec<_>>(),
            "subject": notice.subject,
            "text": {
                "zh-CN": format!("{chinese}\n\n{zh}"),
                "en": format!("{english}\n\n{en}"),
            },
        },
    })
    .to_string();
    notice.joint = Some(joint);
}

fn subject(kind: NoticeKind, joint: &Joint) -> String {
    let parts = &joint.parts;
    let mut said = parts.iter().map(|part| &part.said);
    let what = if kind == NoticeKind::Restored {
        if said.all(|said| matches!(said, Said::Restored { .. })) {
            "网络已恢复 Network restored"
        } else {
            "恢复网络 Network restore ordered"
        }
    } else if joint.follows.is_none() {
        parts.first().map_or("", |part| cutting::names_of(part.kind).0)
    } else if said.all(|said| matches!(said, Said::NotCut { .. })) {
        "断网更正 Correction: the network was not cut"
    } else {
        "断网续报 More on the network cut"
    };
    match parts.as_slice() {
        [one] => format!("{what} #{}: {}", one.number, one.system),
        all => format!("{what}: {} 个系统 {} systems", all.len(), all.len()),
    }
}

fn head(kind: NoticeKind, joint: &Joint) -> (String, String) {
    let (at, count) = (local(joint.ordered_at), joint.parts.len());
    if kind == NoticeKind::Restored {
        return (
            format!("已于 {at} 下令恢复贵单位 {count} 个系统的网络连接，各系统情况如下。"),
            format!(
                "the restore of the network of {count} of your systems was ordered at {at}; of \
                 each:"
            ),
        );
    }
    let Some(first) = joint.parts.first() else { return (String::new(), String::new()) };
    let (_, how, article, _) = cutting::names_of(first.kind);
    let reason = &first.reason;
    if joint.follows.is_some() {
        return (
            format!(
                "关于 {at} 下令的{how}断网，贵单位 {count} 个系统的最新情况如下。原因：{reason}。"
            ),
            format!(
                "more on {article} cut that was ordered at {at}, of {count} of your systems. \
                 Reason: {reason}. Of each:"
            ),
        );
    }
    (
        format!(
            "已于 {at} 下令{how}断开贵单位 {count} 个系统的网络连接，各系统情况如下。原因：{reason}。"
        ),
        format!(
            "{article} cut of the network of {count} of your systems was ordered at {at}. Reason: \
             {reason}. Of each:"
        ),
    )
}

fn line_zh(part: &Part) -> String {
    let Part { system, code, number, cut, tenant, .. } = part;
    let said = match &part.said {
        Said::CutOrdered => "断开时刻另行通知".to_owned(),
        Said::Cut { t0, .. } => format!("已于 {} 断开", local(t0.earliest)),
        Said::NotCut { reason } => format!("未能断开，网络连接保持畅通。说明：{reason}"),
        Said::RestoreOrdered => "恢复时刻另行通知".to_owned(),
        Said::Restored { at } => format!("已于 {} 恢复", at.map_or_else(|| "?".to_owned(), local)),
    };
    format!("{system}（{code}）：{said}\n   断网编号：#{number}（{cut}） 租户：{tenant}")
}

fn line_en(part: &Part) -> String {
    let Part { system, code, number, cut, tenant, .. } = part;
    let said = match &part.said {
        Said::CutOrdered => "ordered; its instant follows".to_owned(),
        Said::Cut { t0, .. } => format!("cut at {}", local(t0.earliest)),
        Said::NotCut { reason } => format!("NOT cut, the network is up. Details: {reason}"),
        Said::RestoreOrdered => "restore ordered; its instant follows".to_owned(),
        Said::Restored { at } => {
            format!("restored at {}", at.map_or_else(|| "?".to_owned(), local))
        }
    };
    format!("{system} ({code}): {said}\n   Cut number: #{number} ({cut}) Tenant: {tenant}")
}

/// The systems where there is little room: some by name, how they stand, and how many there are.
fn short(parts: &[Part]) -> String {
    let named = parts.iter().take(NAMED).map(|part| {
        let stands = match &part.said {
            Said::CutOrdered => "断网已下令",
            Said::Cut { .. } => "已断开",
            Said::NotCut { .. } => "未断开",
            Said::RestoreOrdered => "恢复已下令",
            Said::Restored { .. } => "已恢复",
        };
        format!("{}（{stands}）", part.system)
    });
    let named = named.collect::<Vec<_>>().join("、");
    if parts.len() > NAMED {
        format!("系统：{named} 等 {} 个，完整清单见邮件或平台", parts.len())
    } else {
        format!("系统：{named}")
    }
}

fn facts(part: &Part) -> Value {
    let (mut t0, mut notify_by, mut restored_at, mut why) = (None, None, None, None);
    let state = match &part.said {
        Said::CutOrdered => "cut-ordered",
        Said::Cut { t0: known, notify_by: by } => {
            (t0, notify_by) = (Some(known), *by);
            "cut"
        }
        Said::NotCut { reason } => {
            why = Some(reason);
            "not-cut"
        }
        Said::RestoreOrdered => "restore-ordered",
        Said::Restored { at } => {
            restored_at = *at;
            "restored"
        }
    };
    json!({
        "tenant": part.tenant,
        "system": {"name": part.system, "code": part.code},
        "id": part.cut,
        "number": part.number,
        "reason": part.reason,
        "state": state,
        "details": why,
        "t0": t0,
        "notify_by": notify_by,
        "restored_at": restored_at,
    })
}
