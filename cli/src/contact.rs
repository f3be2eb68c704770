//! `tenurectl contact`: whom a tenant's notices go to, and the monthly probe of the channels.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    group::read,
    screen::{Column, Screen, column},
};

/// What can be done with contacts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContactVerb {
    /// A tenant's contacts
    List {
        /// The tenant's id
        tenant: TenantId,
    },
    /// What came of the last probe of the channels to them
    Probe {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Name all of them anew, with the systems that they designate (customer)
    ///
    /// They are probed at once, and those before them are told. Cuts that are open keep the
    /// notices that they have.
    Set {
        /// The tenant's id
        tenant: TenantId,
        /// The contacts as in an application, under `contacts`, TOML or JSON; - reads stdin
        #[arg(long, value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Acknowledge the last probe: it was received, and the contacts are right (customer)
    Acknowledge {
        /// The tenant's id
        tenant: TenantId,
    },
}

const CONTACTS: &[Column] = &[
    column("NAME", &["/name"]),
    column("EMAIL", &["/email"]),
    column("WEBHOOK", &["/webhook/url"]),
    column("BOT", &["/bot/kind"]),
    column("MOBILE", &["/mobile"]),
    column("AVAILABLE", &["/available"]),
    column("DESIGNATED", &["/designated"]),
];

const PROBED: &[Column] = &[
    column("CONTACT", &["/contact"]),
    column("CHANNEL", &["/channel"]),
    column("GRADE", &["/grade"]),
    column("SENT", &["/sent_at"]),
    column("ACKNOWLEDGED", &["/acknowledged_by"]),
];

/// Runs it.
pub(crate) fn run(
    verb: ContactVerb,
    api: impl FnOnce() -> Result<Api, Failure>,
    screen: &Screen,
) -> Result<(), Failure> {
    match verb {
        ContactVerb::List { tenant } => {
            screen.many(&shown(&api()?, tenant)?["application"]["contacts"], CONTACTS)
        }
        ContactVerb::Probe { tenant } => {
            screen.many(&probed(&shown(&api()?, tenant)?["probe"]), PROBED)
        }
        ContactVerb::Set { tenant, file } => {
            let contacts = read(&file)?;
            screen.one(&api()?.post(&format!("/v1/tenants/{tenant}/contacts"), &contacts)?)
        }
        ContactVerb::Acknowledge { tenant } => {
            let path = format!("/v1/tenants/{tenant}/contacts/acknowledgement");
            screen.one(&api()?.post(&path, &json!({}))?)
        }
    }
}

fn shown(api: &Api, tenant: TenantId) -> Result<Value, Failure> {
    api.get(&format!("/v1/tenants/{tenant}"))
}

/// A row for each channel; none before the first probe.
fn probed(probe: &Value) -> Value {
    let channels = probe["channels"].as_array().cloned().unwrap_or_default();
    let row = |mut channel: Value| {
        channel["sent_at"] = probe["sent_at"].clone();
        channel["acknowledged_by"] = probe["acknowledged_by"].clone();
        channel
    };
    channels.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::cell;

    #[test]
    fn each_channel_of_a_probe_is_a_row_and_there_is_none_before_the_first() {
        let probe = json!({"sent_at": "2026-03-02T01:00:00Z", "acknowledged_by": "li", "channels": [
            {"contact": "值班", "channel": "mail", "grade": "E2"},
            {"contact": "值班", "channel": "webhook", "grade": null}]});
        let rows = probed(&probe);
        assert_eq!(
            (cell(&rows[0], &["/grade"]), cell(&rows[1], &["/grade"])),
            ("E2".into(), "-".into())
        );
        assert_eq!(cell(&rows[1], &["/acknowledged_by"]), "li");
        assert_eq!(probed(&Value::Null), json!([]));
    }
}
