//! Legal holds and disputes: what keeps a tenant's data from being destroyed.

use axum::extract::State;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    App,
    acts::done,
    change::Change,
    extract::Id,
    form::{self, DocumentForm},
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
    /// Why things are kept.
    #[schema(schema_with = kinds)]
    kind: HoldKind,
    /// The order or the claim that it rests on.
    #[schema(value_type = DocumentForm)]
    document: Document,
    /// What it is about.
    #[schema(schema_with = form::text)]
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
    #[schema(schema_with = form::text)]
    reason: String,
}

/// What a second person countersigns.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldCountersignature {
    /// The hold's number.
    hold: u32,
}

fn kinds() -> RefOr<Schema> {
    form::words([HoldKind::LegalHold, HoldKind::Dispute])
}

/// Place a hold: it blocks at once, and a second person countersigns it
#[utoipa::path(post, path = "/v1/tenants/{id}/holds", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = HoldPlacing,
    responses((status = 200, body = TenantView)))]
pub async fn place(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<HoldPlacing>,
) -> Result<Shown, Problem> {
    done(app, id, change, |HoldPlacing { kind, document, reason }| Event::PlaceHold {
        kind,
        document,
        reason,
    })
    .await
}

/// Ask for a hold's end: it blocks until a second person has countersigned
#[utoipa::path(post, path = "/v1/tenants/{id}/holds/release", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = HoldRelease,
    responses((status = 200, body = TenantView)))]
pub async fn release(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<HoldRelease>,
) -> Result<Shown, Problem> {
    done(app, id, change, |HoldRelease { hold, document, reason }| Event::ReleaseHold {
        hold,
        document,
        reason,
    })
    .await
}

/// Countersign a hold or its release, as the second person
#[utoipa::path(post, path = "/v1/tenants/{id}/holds/countersignatures", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = HoldCountersignature,
    responses((status = 200, body = TenantView)))]
pub async fn countersign(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<HoldCountersignature>,
) -> Result<Shown, Problem> {
    done(app, id, change, |HoldCountersignature { hold }| Event::CountersignHold { hold }).await
}
