//! The trial: its extension (clause 5.3), and what a failed review asks to rectify (clause 5.4).

use axum::extract::State;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::ToSchema;

use super::{
    App,
    acts::{act, shown},
    extract::{Body, Caller, Id, IfMatch},
    form::{DocumentForm, ExpertForm},
    problem::Problem,
    tenants::Shown,
    view::TenantView,
};
use crate::core::{
    lifecycle::{Decision, Document, Event},
    tenant::Expert,
};

/// A request for a longer trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtensionRequest {
    /// Days, counted from the trial's end before it was moved off Rest days; 30 in all at most.
    #[schema(minimum = 1)]
    days: u32,
    /// Why.
    reason: String,
}

/// A decision on a longer trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtensionDecision {
    /// `approve` or `reject`.
    #[schema(value_type = String)]
    decision: Decision,
    /// Why.
    opinion: String,
    /// Who assessed it; two or more to approve.
    #[serde(default)]
    #[schema(value_type = Vec<ExpertForm>)]
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
    note: String,
    /// The proof.
    #[schema(value_type = DocumentForm)]
    evidence: Document,
}

/// Ask for a longer trial of a major system (clause 5.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/trial/extension", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = ExtensionRequest,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn extension(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(ExtensionRequest { days, reason }): Body<ExtensionRequest>,
) -> Result<Shown, Problem> {
    let event = Event::RequestExtension { days, reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Decide on a longer trial, after an assessment by experts (clause 5.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/trial/extension/decision", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = ExtensionDecision,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn decide(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(decided): Body<ExtensionDecision>,
) -> Result<Shown, Problem> {
    let event = {
        let ExtensionDecision { decision, opinion, experts, assessment } = decided;
        Event::DecideExtension { decision, opinion, experts, assessment }
    };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Record that an item of a failed review is rectified (clause 5.4)
#[utoipa::path(post, path = "/v1/tenants/{id}/reports/rectifications", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Rectification,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn rectify(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Rectification { item, note, evidence }): Body<Rectification>,
) -> Result<Shown, Problem> {
    let event = Event::Rectify { item, note, evidence };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}
