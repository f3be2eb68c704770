//! Legal holds and disputes: what keeps a tenant's data from being destroyed.

use axum::extract::State;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::ToSchema;

use super::{
    App,
    acts::{act, shown},
    extract::{Body, Caller, Id, IfMatch},
    form::DocumentForm,
    problem::Problem,
    tenants::Shown,
    view::TenantView,
};
use crate::core::{
    lifecycle::{Document, Event},
    tenant::HoldKind,
};

/// A hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldPlacing {
    /// `legal-hold` or `dispute`.
    #[schema(value_type = String)]
    kind: HoldKind,
    /// The order or the claim that it rests on.
    #[schema(value_type = DocumentForm)]
    document: Document,
    /// What it is about.
    reason: String,
}

/// The end of a hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRelease {
    /// The hold's number.
    hold: u32,
    /// The document that ends it.
    #[schema(value_type = DocumentForm)]
    document: Document,
    /// Why.
    reason: String,
}

/// What a second person countersigns.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldCountersignature {
    /// The hold's number.
    hold: u32,
}

/// Place a hold: it blocks at once, and a second person countersigns it
#[utoipa::path(post, path = "/v1/tenants/{id}/holds", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = HoldPlacing,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn place(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(HoldPlacing { kind, document, reason }): Body<HoldPlacing>,
) -> Result<Shown, Problem> {
    let event = Event::PlaceHold { kind, document, reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Ask for a hold's end: it blocks until a second person has countersigned
#[utoipa::path(post, path = "/v1/tenants/{id}/holds/release", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = HoldRelease,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn release(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(HoldRelease { hold, document, reason }): Body<HoldRelease>,
) -> Result<Shown, Problem> {
    let event = Event::ReleaseHold { hold, document, reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Countersign a hold or its release, as the second person
#[utoipa::path(post, path = "/v1/tenants/{id}/holds/countersignatures", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = HoldCountersignature,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn countersign(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(HoldCountersignature { hold }): Body<HoldCountersignature>,
) -> Result<Shown, Problem> {
    let event = Event::CountersignHold { hold };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}
