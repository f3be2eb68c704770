//! Leaving as the customer asks for it and the provider decides, up to the approval of the wipe
//! (clauses 6.1 and 6.2). What may be done for a late customer stands in [`super::leaving`].

use axum::{Json, extract::State, http::StatusCode};
use jiff::civil::Date;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::ToSchema;

use super::{
    App,
    acts::{Nothing, Review, done, ordered},
    change::Change,
    extract::Id,
    form,
    problem::Problem,
    tenants::Shown,
    view::{Accepted, TenantView},
};
use crate::core::{lifecycle::Event, tenant::OrderKind};

/// An application to leave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// The day on which the instances stop (Asia/Shanghai).
    #[schema(value_type = String, format = Date)]
    stop_day: Date,
    /// Why.
    #[schema(schema_with = form::text)]
    reason: String,
    /// If the day is too early for clause 6.1, ask the provider to waive its period; else it is
    /// refused.
    #[serde(default)]
    ask_waiver: bool,
}

/// The customer's confirmation: what remains will be destroyed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The system and its data have been migrated.
    migrated: bool,
    /// The data has been backed up.
    backed_up: bool,
}

/// Ask to leave (clause 6.1)
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Leaving,
    responses((status = 200, body = TenantView)))]
pub async fn offboarding(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Leaving>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Leaving { stop_day, reason, ask_waiver }| Event::RequestOffboarding {
        stop_day,
        reason,
        ask_waiver,
    })
    .await
}

/// Give an opinion on leaving (clause 6.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/review", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Review,
    responses((status = 200, body = TenantView)))]
pub async fn review_offboarding(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Review>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |Review { decision, opinion }| Event::ReviewOffboarding {
        decision,
        opinion,
    })
    .await
}

/// Confirm migration and backup (clause 6.1)
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/confirm", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Confirmation,
    responses((status = 200, body = TenantView)))]
pub async fn confirm(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Confirmation>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Confirmation { migrated, backed_up }| Event::ConfirmOffboarding {
        migrated,
        backed_up,
    })
    .await
}

/// Approve the wipe as one of two persons; the second approval orders it (clause 6.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/wipe/approvals", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 202, body = Accepted)))]
pub async fn approve_wipe(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    ordered(app, id, change, OrderKind::Wipe, |Nothing {}| Event::ApproveWipe).await
}
