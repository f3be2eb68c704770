//! Contacts: whom notices go to, in the customer's own hand, and the monthly probe of the channels
//! to them.

use axum::extract::State;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{channel::Grade, id::TenantId, time::Timestamp};
use utoipa::ToSchema;

use super::{
    App,
    acts::{Nothing, check_destinations, done},
    change::Change,
    extract::Id,
    form,
    problem::Problem,
    tenants::Shown,
    view::TenantView,
};
use crate::core::{
    lifecycle::Event,
    tenant::{Contact, Probe},
};

/// All contacts of a tenant, in place of those before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactsRequest {
    /// Whom to notify, at least one; secrets of webhooks and bots anew.
    #[schema(schema_with = form::contacts)]
    contacts: Vec<Contact>,
}

/// The last probe of the channels to the contacts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProbeView {
    /// The first day of its month.
    #[schema(value_type = String, format = Date)]
    month: Date,
    /// When it went out; legal time.
    #[schema(value_type = String, format = DateTime)]
    sent_at: Timestamp,
    /// Every contact over every channel.
    channels: Vec<ProbedView>,
    /// Who of the customer acknowledged it.
    acknowledged_by: Option<String>,
    /// When; legal time.
    #[schema(value_type = Option<String>, format = DateTime)]
    acknowledged_at: Option<Timestamp>,
}

/// What came of a probe over one channel.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProbedView {
    /// Who.
    contact: String,
    /// `mail`, `webhook`, `sms` or `bot`.
    channel: String,
    /// What its acceptance proved: `E1`, sent; `E2`, arrived; nothing if nobody has taken it.
    #[schema(value_type = Option<String>)]
    grade: Option<Grade>,
}

impl ProbeView {
    pub(super) fn of(probe: &Probe) -> Self {
        let channels = probe.channels.iter().map(|one| ProbedView {
            contact: one.contact.clone(),
            channel: one.channel.clone(),
            grade: one.grade,
        });
        let acknowledged = probe.acknowledged.as_ref();
        Self {
            month: probe.month,
            sent_at: probe.sent_at,
            channels: channels.collect(),
            acknowledged_by: acknowledged.map(|one| one.person.clone()),
            acknowledged_at: acknowledged.map(|one| one.at),
        }
    }
}

/// Name the contacts anew: they are probed at once, and those before them are told
#[utoipa::path(post, path = "/v1/tenants/{id}/contacts", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = ContactsRequest,
    responses((status = 200, body = TenantView)))]
pub async fn set(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<ContactsRequest>,
) -> Result<Shown, Problem> {
    check_destinations(&app, &change.body.contacts).await?;
    done(app, id, change, |ContactsRequest { contacts }| Event::SetContacts { contacts }).await
}

/// Acknowledge the probe of your contacts: you received it, and they are as they should be
#[utoipa::path(post, path = "/v1/tenants/{id}/contacts/acknowledgement", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView)))]
pub async fn acknowledge(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Nothing {}| Event::AcknowledgeProbe).await
}
