//! What the provider may do for a customer that leaves late, or does not answer (clause 6.1).

use axum::extract::State;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::ToSchema;

use super::{
    App,
    acts::{Reason, act, shown},
    extract::{Body, Caller, Id, IfMatch},
    form::DocumentForm,
    problem::Problem,
    tenants::Shown,
    view::TenantView,
};
use crate::core::lifecycle::{Document, Event};

/// How the second notice reached the customer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryProof {
    /// The proof, such as the receipt of a registered letter.
    #[schema(value_type = DocumentForm)]
    document: Document,
}

/// Waive the 15 working days as one of two persons (clause 6.1)
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/waivers", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn waive(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Shown, Problem> {
    let event = Event::WaivePeriod { reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Record that the second notice was served otherwise than over a channel
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/service", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = DeliveryProof,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn record_service(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(DeliveryProof { document }): Body<DeliveryProof>,
) -> Result<Shown, Problem> {
    let event = Event::RecordService { document };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}
