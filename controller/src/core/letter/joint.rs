//! The words of joint notices: what happened to each of a customer's systems, a line each.

use fluent_bundle::FluentArgs;
use serde_json::{Value, json};
use tenure_protocol::{channel::Channel, time::Timestamp};

use super::{Language, Letters, cutting, local};
use crate::core::{
    joint::{Joint, Part, Said},
    notice::{Notice, NoticeKind},
};

/// Systems that are named where a message has to be short.
const NAMED: usize = 5;

/// Writes subject, text and payload of a joint notice anew, from what it says of each system.
pub(in crate::core) fn write(notice: &mut Notice, letters: &Letters, real_now: Timestamp) {
    let Some(joint) = notice.joint.take() else { return };
    let Letters { chinese, english } = letters;
    notice.subject = subject(letters, notice.kind, &joint);
    let heads = [chinese, english].map(|language| head(language, notice.kind, &joint));
    let lines = [chinese, english].map(|language| {
        let each = joint.parts.iter().enumerate();
        each.map(|(place, part)| line(language, place, part)).collect::<Vec<_>>().join("\n")
    });
    let (heads, lines) = (heads.each_ref(), lines.each_ref());
    notice.body = match notice.channel {
        Channel::Mail { .. } | Channel::Webhook { .. } => {
            letters.mail(&notice.contact, heads.map(String::as_str), lines.map(String::as_str))
        }
        Channel::Sms { .. } | Channel::Bot { .. } => {
            format!("{}\n{}", heads[0], short(chinese, &joint.parts))
        }
    };
    let [zh, en] = [0, 1].map(|place| format!("{}\n\n{}", heads[place], lines[place]));
    notice.payload = json!({
        "id": notice.id,
        "type": format!("tenure.{}", notice.kind.as_str()),
        "timestamp": real_now,
        "data": {
            "customer": joint.customer,
            "cuts": joint.parts.iter().map(facts).collect::<Vec<_>>(),
            "subject": notice.subject,
            "text": {"zh-CN": zh, "en": en},
        },
    })
    .to_string();
    notice.joint = Some(joint);
}

fn subject(letters: &Letters, kind: NoticeKind, joint: &Joint) -> String {
    let parts = &joint.parts;
    let mut said = parts.iter().map(|part| &part.said);
    let title = if kind == NoticeKind::Restored {
        if said.all(|said| matches!(said, Said::Restored { .. })) {
            "restored-title"
        } else {
            "restore-ordered-title"
        }
    } else if joint.follows.is_none() {
        "cut-title"
    } else if said.all(|said| matches!(said, Said::NotCut { .. })) {
        "not-cut-title"
    } else {
        "more-title"
    };
    let both = |id| {
        let kind = parts.first().map_or("", |part| cutting::name_of(part.kind));
        let variables = variables!["kind" => kind, "count" => parts.len().to_string()];
        let [zh, en] =
            [&letters.chinese, &letters.english].map(|language| language.say(id, &variables));
        format!("{zh} {en}")
    };
    match parts.as_slice() {
        [one] => format!("{} #{}: {}", both(title), one.number, one.system),
        _ => format!("{}: {}", both(title), both("joint-systems")),
    }
}

fn head(language: &Language, kind: NoticeKind, joint: &Joint) -> String {
    let Some(first) = joint.parts.first() else { return String::new() };
    let id = match (kind, joint.follows) {
        (NoticeKind::Restored, _) => "joint-restored",
        (_, Some(_)) => "joint-more",
        (_, None) => "joint-cut",
    };
    let variables = variables![
        "at" => local(joint.ordered_at),
        "count" => joint.parts.len().to_string(),
        "kind" => cutting::name_of(first.kind),
        "reason" => first.reason.as_str(),
    ];
    language.say(id, &variables)
}

fn line(language: &Language, place: usize, part: &Part) -> String {
    let (at, details) = match &part.said {
        Said::Cut { t0, .. } => (Some(t0.earliest), ""),
        Said::NotCut { reason } => (None, reason.as_str()),
        Said::Restored { at } => (*at, ""),
        Said::CutOrdered | Said::RestoreOrdered => (None, ""),
    };
    let variables = variables![
        "place" => (place + 1).to_string(),
        "system" => part.system.as_str(),
        "code" => part.code.as_str(),
        "number" => part.number.to_string(),
        "id" => part.cut.to_string(),
        "tenant" => part.tenant.to_string(),
        "said" => name_of(&part.said),
        "at" => at.map_or_else(|| "?".to_owned(), local),
        "details" => details,
    ];
    language.say("joint-line", &variables)
}

/// The systems where there is little room: some by name, how they stand, and how many there are.
fn short(language: &Language, parts: &[Part]) -> String {
    let named = parts.iter().take(NAMED).map(|part| {
        let (system, said) = (part.system.as_str(), name_of(&part.said));
        language.say("joint-short-one", &variables!["system" => system, "said" => said])
    });
    let separator = language.say("joint-short-separator", &FluentArgs::new());
    let systems = named.collect::<Vec<_>>().join(&separator);
    let variables = variables!["systems" => systems, "count" => parts.len().to_string()];
    let id = if parts.len() > NAMED { "joint-short-some" } else { "joint-short" };
    language.say(id, &variables)
}

/// How a system stands, as templates and webhooks call it.
const fn name_of(said: &Said) -> &'static str {
    match said {
        Said::CutOrdered => "cut-ordered",
        Said::Cut { .. } => "cut",
        Said::NotCut { .. } => "not-cut",
        Said::RestoreOrdered => "restore-ordered",
        Said::Restored { .. } => "restored",
    }
}

fn facts(part: &Part) -> Value {
    let (mut t0, mut notify_by, mut restored_at, mut why) = (None, None, None, None);
    match &part.said {
        Said::CutOrdered | Said::RestoreOrdered => {}
        Said::Cut { t0: known, notify_by: by } => (t0, notify_by) = (Some(known), *by),
        Said::NotCut { reason } => why = Some(reason),
        Said::Restored { at } => restored_at = *at,
    }
    json!({
        "tenant": part.tenant,
        "system": {"name": part.system, "code": part.code},
        "id": part.cut,
        "number": part.number,
        "reason": part.reason,
        "state": name_of(&part.said),
        "details": why,
        "t0": t0,
        "notify_by": notify_by,
        "restored_at": restored_at,
    })
}
