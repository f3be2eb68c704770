//! The words about contacts: the monthly probe of their channels, what it did not bring, and that
//! they were changed.

use jiff::civil::Date;

use super::Words;
use crate::core::tenant::Tenant;

pub(super) fn probe(tenant: &Tenant, month: Date) -> Words {
    let (system, month) = (&tenant.application.system.name, month.strftime("%Y-%m"));
    Words {
        subject: format!("紧急联系渠道测试 Test of emergency contacts {month}: {system}"),
        chinese: format!(
            "这是 {month} 的紧急联系渠道测试，系统未受任何影响。紧急断网时，通知将经此渠道送达。\
             请登录确认已收到，并核对紧急联系人：tenurectl contact acknowledge {}",
            tenant.id
        ),
        english: format!(
            "this is the test of the emergency contacts for {month}; nothing has happened to your \
             system. In an emergency cut you are notified over this channel. Please acknowledge \
             that you received it, and check your contacts: tenurectl contact acknowledge {}",
            tenant.id
        ),
    }
}

/// To the provider's own people.
pub(super) fn unanswered(
    tenant: &Tenant,
    month: Date,
    silent: &[String],
    acknowledged: bool,
) -> Words {
    let (system, month) = (&tenant.application.system.name, month.strftime("%Y-%m"));
    let list = if silent.is_empty() { "-".to_owned() } else { silent.join("; ") };
    let (zh, en) = match acknowledged {
        true => ("客户已确认收到。", "The customer has acknowledged it."),
        false => ("客户尚未确认收到。", "The customer has not acknowledged it."),
    };
    let customer = &tenant.application.customer;
    Words {
        subject: format!("联系渠道测试未完成 Test of contacts unanswered {month}: {system}"),
        chinese: format!(
            "{customer} 的紧急联系渠道测试（{month}）未完成。未送达的渠道：{list}。{zh}\
             请联系客户更正紧急联系人。"
        ),
        english: format!(
            "the test of {customer}'s emergency contacts for {month} is not complete. Channels \
             that took nothing: {list}. {en} Please have the customer correct its contacts."
        ),
    }
}

/// To those who are no contacts any more.
pub(super) fn changed(tenant: &Tenant, by: &str, now: &str) -> Words {
    let system = &tenant.application.system.name;
    Words {
        subject: format!("紧急联系人已变更 Emergency contacts changed: {system}"),
        chinese: format!(
            "贵单位系统的紧急联系人已于 {now} 由 {by} 变更，您不再以此方式接收通知。\
             如非贵单位所为，请立即联系云服务方。"
        ),
        english: format!(
            "the emergency contacts of your system were changed at {now} by {by}; you are no \
             longer notified in this way. If your organisation did not do this, call the provider \
             at once."
        ),
    }
}
