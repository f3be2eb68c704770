//! The words about contacts: the monthly probe of their channels, what it did not bring, and that
//! they were changed.

use jiff::civil::Date;
use serde_json::{Value, json};
use tenure_protocol::channel::Channel;

use super::{Letters, Words, local, month_of};
use crate::core::{
    notice::Notice,
    tenant::{Former, Tenant, former::FORMER_DAYS},
};

pub(super) fn probe(letters: &Letters, tenant: &Tenant, month: Date) -> Words {
    letters.words("probe", |_| {
        variables![
            "system" => tenant.application.system.name.as_str(),
            "month" => month_of(month),
            "tenant" => tenant.id.to_string(),
        ]
    })
}

/// To the provider's own people.
pub(super) fn unanswered(
    letters: &Letters,
    tenant: &Tenant,
    month: Date,
    silent: &[String],
    acknowledged: bool,
) -> Words {
    let silent = if silent.is_empty() { "-".to_owned() } else { silent.join("; ") };
    letters.words("probe-unanswered", |_| {
        variables![
            "system" => tenant.application.system.name.as_str(),
            "customer" => tenant.application.customer.as_str(),
            "month" => month_of(month),
            "silent" => silent.as_str(),
            "acknowledged" => if acknowledged { "yes" } else { "no" },
        ]
    })
}

/// To those who are no contacts any more.
pub(super) fn changed(letters: &Letters, tenant: &Tenant, by: &str, now: &str) -> Words {
    let system = tenant.application.system.name.as_str();
    letters.words("contacts-changed", |_| variables!["system" => system, "by" => by, "now" => now])
}

/// Makes a notice one to a contact from before the last changes: it says by whom and when they were
/// made, and its acceptance proves no arrival.
pub(in crate::core) fn to_former(letters: &Letters, notice: &mut Notice, former: &Former) {
    notice.designated = false;
    let variables = variables![
        "by" => former.by.as_str(),
        "at" => local(former.at),
        "days" => FORMER_DAYS.to_string(),
    ];
    let say = |language: &super::Language| language.say("former-contact", &variables);
    let [chinese, english] = [&letters.chinese, &letters.english].map(say);
    notice.body = match notice.channel {
        Channel::Mail { .. } | Channel::Webhook { .. } => {
            format!("{}\n--\n\n{chinese}\n\n{english}\n", notice.body)
        }
        Channel::Sms { .. } | Channel::Bot { .. } => format!("{}\n{chinese}", notice.body),
    };
    if let Ok(Value::Object(mut facts)) = serde_json::from_str(&notice.payload) {
        let text = json!({ "zh-CN": chinese, "en": english });
        let changed = json!({ "by": former.by, "at": former.at, "text": text });
        facts.insert("contacts_changed".to_owned(), changed);
        notice.payload = Value::Object(facts).to_string();
    }
}
