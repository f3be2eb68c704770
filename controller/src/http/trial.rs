//! The trial: its extension (clause 5.3), and what a failed review asks to rectify (clause 5.4).

use axum::extract::State;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::{
    ToSchema,
    openapi::{Ref, RefOr, Schema},
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
    admission::EXPERTS_LIMIT,
    lifecycle::{Decision, Document, Event},
    tenant::Expert,
};

/// A request for a longer trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtensionRequest {
    /// Days, counted from the trial's end before it was moved off Rest days; in all at
    /// most as many as the rules allow (clause 5.3).
    #[schema(minimum = 1)]
    days: u32,
    /// Why.
    #[schema(schema_with = form::text)]
    reason: String,
}

/// A decision on a longer trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtensionDecision {
    /// The outcome.
    #[schema(schema_with = decisions)]
    decision: Decision,
    /// Why.
    #[schema(schema_with = form::text)]
    opinion: String,
    /// Who assessed it; two or more to approve.
    #[serde(default)]
    #[schema(required = false, schema_with = experts)]
    experts: Vec<Expert>,
    /// The record of the assessment; needed to approve.
    #[schema(value_type = Option<DocumentForm>)]
    assessment: Option<Document>,
}

/// What was done about one item of a failed review.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rectification {
    /// The item's number.
    item: u32,
    /// What was changed.
    #[schema(schema_with = form::text)]
    note: String,
    /// The proof.
    #[schema(value_type = DocumentForm)]
    evidence: Document,
}

fn decisions() -> RefOr<Schema> {
    form::words([Decision::Approve, Decision::Reject])
}

fn experts() -> RefOr<Schema> {
    form::many(Ref::from_schema_name("Expert"), 0, EXPERTS_LIMIT)
}

/// Ask for a longer trial of a major system (clause 5.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/trial/extension", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = ExtensionRequest,
    responses((status = 200, body = TenantView)))]
pub async fn extension(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<ExtensionRequest>,
) -> Result<Shown, Problem> {
    done(app, id, change, |ExtensionRequest { days, reason }| Event::RequestExtension {
        days,
        reason,
    })
    .await
}

/// Decide on a longer trial, after an assessment by experts (clause 5.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/trial/extension/decision", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = ExtensionDecision,
    responses((status = 200, body = TenantView)))]
pub async fn decide(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<ExtensionDecision>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |decided| {
        let ExtensionDecision { decision, opinion, experts, assessment } = decided;
        Event::DecideExtension { decision, opinion, experts, assessment }
    })
    .await
}

/// Record that an item of a failed review is rectified (clause 5.4)
#[utoipa::path(post, path = "/v1/tenants/{id}/reports/rectifications", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Rectification,
    responses((status = 200, body = TenantView)))]
pub async fn rectify(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Rectification>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Rectification { item, note, evidence }| Event::Rectify {
        item,
        note,
        evidence,
    })
    .await
}
