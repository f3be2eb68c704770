//! The trial: deployment (clause 5.2), its extension (clause 5.3), the reports, their review, and
//! what a failed one asks to rectify (clause 5.4).

use axum::extract::State;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::{
    ToSchema,
    openapi::{Ref, RefOr, Schema},
};

use super::{
    App,
    acts::{Nothing, done},
    change::Change,
    extract::Id,
    form::{self, DocumentForm},
    problem::Problem,
    tenants::Shown,
    view::TenantView,
};
use crate::core::{
    admission::{EXPERTS_LIMIT, ITEMS_LIMIT},
    lifecycle::{Decision, Document, Event, ReportsDecision},
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

/// The two reports of clause 5.4.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reports {
    /// Test report (测试报告).
    #[schema(value_type = DocumentForm)]
    test_report: Document,
    /// Security risk assessment report (安全风险评估报告).
    #[schema(value_type = DocumentForm)]
    security_report: Document,
}

/// An opinion on the reports.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportsReview {
    /// The outcome.
    #[schema(schema_with = reports_decisions)]
    decision: ReportsDecision,
    /// Why.
    #[schema(schema_with = form::text)]
    opinion: String,
    /// What to rectify, item by item: at least one if they fail, none if they pass.
    #[serde(default)]
    #[schema(required = false, schema_with = items)]
    items: Vec<String>,
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

fn reports_decisions() -> RefOr<Schema> {
    form::words([ReportsDecision::Pass, ReportsDecision::Fail])
}

fn items() -> RefOr<Schema> {
    form::many(form::text(), 0, ITEMS_LIMIT)
}

/// Declare that deployment has started (clause 5.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/deployment", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView)))]
pub async fn deployment(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Nothing {}| Event::DeclareDeployment).await
}

/// Hand in both reports (clause 5.4)
#[utoipa::path(post, path = "/v1/tenants/{id}/reports", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Reports,
    responses((status = 200, body = TenantView)))]
pub async fn reports(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reports>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reports { test_report, security_report }| Event::SubmitReports {
        test_report,
        security_report,
    })
    .await
}

/// Give an opinion on the reports (clause 5.4)
#[utoipa::path(post, path = "/v1/tenants/{id}/reports/review", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = ReportsReview,
    responses((status = 200, body = TenantView)))]
pub async fn review_reports(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<ReportsReview>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |ReportsReview { decision, opinion, items }| {
        Event::ReviewReports { decision, opinion, items }
    })
    .await
}
