//! What the provider may do for a customer that leaves late, or does not answer (clause 6.1).

use axum::extract::State;
use jiff::civil::Date;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::ToSchema;

use super::{
    App,
    acts::{Nothing, Reason, done},
    change::Change,
    extract::Id,
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
    /// The day on which it did (Asia/Shanghai), as the proof has it.
    #[schema(value_type = String, format = Date)]
    served_on: Date,
    /// The proof, such as the receipt of a registered letter.
    #[schema(value_type = DocumentForm)]
    document: Document,
}

/// Waive the period of clause 6.1 as one of two persons
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/waivers", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn waive(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::WaivePeriod { reason }).await
}

/// Record that the second notice was served otherwise than over a channel: it counts once
/// countersigned
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/service", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = DeliveryProof,
    responses((status = 200, body = TenantView)))]
pub async fn record_service(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<DeliveryProof>,
) -> Result<Shown, Problem> {
    done(app, id, change, |DeliveryProof { served_on, document }| Event::RecordService {
        served_on,
        document,
    })
    .await
}

/// Countersign, as the second person, that the second notice was served: its grace begins
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/countersignatures",
    tag = "provider", params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView)))]
pub async fn countersign_service(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |Nothing {}| Event::CountersignService).await
}
