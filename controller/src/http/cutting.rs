//! Cuts, what announces them, and how they end (clause 6.3).

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Deserializer, de::Error as _};
use tenure_protocol::{id::TenantId, time::Timestamp};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    App,
    acts::{Reason, done, ordered},
    change::Change,
    extract::Id,
    form,
    problem::Problem,
    tenants::Shown,
    view::{Accepted, TenantView},
};
use crate::core::{
    lifecycle::{CutKind, Event},
    tenant::OrderKind,
};

/// A cut.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutRequest {
    /// Which kind: `planned` once a notice of it has reached the customer.
    #[serde(deserialize_with = "in_earnest")]
    #[schema(schema_with = cut_kinds)]
    kind: CutKind,
    /// Why: the customer reads this in the notice.
    #[schema(schema_with = form::text)]
    reason: String,
}

/// A cut that the customer knows of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutAcknowledgement {
    /// The cut's number, as its notices have it; the planned cut that is announced, if left out.
    #[serde(default)]
    #[schema(minimum = 1)]
    cut: Option<u32>,
}

/// What an operator heard from a person of the customer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeardAcknowledgement {
    /// The cut's number, as its notices have it; the planned cut that is announced, if left out.
    #[serde(default)]
    #[schema(minimum = 1)]
    cut: Option<u32>,
    /// Who acknowledged it.
    #[schema(schema_with = form::name)]
    person: String,
    /// By what number, or otherwise.
    #[schema(schema_with = form::name)]
    over: String,
    /// The words that were heard.
    #[schema(schema_with = form::text)]
    words: String,
    /// When; now if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// The kinds of cut that are no drill: a drill is an operation of its own.
pub(super) fn in_earnest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CutKind, D::Error> {
    match CutKind::deserialize(deserializer)? {
        CutKind::Drill => Err(D::Error::custom("a drill is ordered by …/drill: give another kind")),
        kind @ (CutKind::Emergency | CutKind::Planned) => Ok(kind),
    }
}

pub(super) fn cut_kinds() -> RefOr<Schema> {
    form::words([CutKind::Emergency, CutKind::Planned])
}

/// Cut a tenant's network (clause 6.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/cut", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = CutRequest,
    responses((status = 202, body = Accepted)))]
pub async fn cut(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<CutRequest>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    ordered(app, id, change, OrderKind::Cut, |CutRequest { kind, reason }| Event::Cut {
        kind,
        reason,
    })
    .await
}

/// Tell the customer of a cut that is planned (clause 6.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/cut/announcement", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn announce_cut(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::AnnounceCut { reason }).await
}

/// Call a planned cut off: the customer is told (clause 6.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/cut/announcement/end", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn call_off_cut(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::CallOffCut { reason }).await
}

/// Acknowledge that you know of a cut (grade E3): the duty to notify you ends with it
#[utoipa::path(post, path = "/v1/tenants/{id}/cut/acknowledgement", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = CutAcknowledgement,
    responses((status = 200, body = TenantView)))]
pub async fn acknowledge_cut(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<CutAcknowledgement>,
) -> Result<Shown, Problem> {
    let event = |CutAcknowledgement { cut }| Event::AcknowledgeCut { cut };
    done(app, id, change, event).await
}

/// Record that a person of the customer has acknowledged a cut (grade E3)
#[utoipa::path(post, path = "/v1/tenants/{id}/cut/acknowledgement/heard", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = HeardAcknowledgement,
    responses((status = 200, body = TenantView)))]
pub async fn record_acknowledgement(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<HeardAcknowledgement>,
) -> Result<Shown, Problem> {
    let now = app.engine.clock().now();
    let event = |HeardAcknowledgement { cut, person, over, words, at }| {
        Event::RecordAcknowledgement { cut, person, over, words, at: at.unwrap_or(now) }
    };
    done(app, id, change, event).await
}

/// End the cut (clause 6.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/restore", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 202, body = Accepted)))]
pub async fn restore(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    ordered(app, id, change, OrderKind::Restore, |Reason { reason }| Event::Restore { reason })
        .await
}
