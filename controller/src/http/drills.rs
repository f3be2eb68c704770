//! Canaries and drills: the emergency cut, rehearsed for real on a tenant that exists for that.

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Serialize;
use tenure_protocol::{
    id::{CutId, TenantId},
    time::Timestamp,
};
use utoipa::ToSchema;

use super::{
    App,
    acts::{Nothing, Reason, done},
    change::Change,
    extract::Id,
    gate::Received,
    problem::Problem,
    tenants::Shown,
    view::{Accepted, TenantView},
};
use crate::core::{
    drill::{self, DrillReport, DrillStep},
    lifecycle::Event,
    tenant::{Canary, Cut, OrderKind},
};

/// A tenant's drills.
#[derive(Debug, Serialize, ToSchema)]
pub struct DrillsView {
    /// The tenant's version: a confirmation is about one.
    version: u64,
    /// Whether it is a canary, by the word of which two persons, and who proposes it.
    #[schema(value_type = Object)]
    canary: Canary,
    /// Until when it has to be drilled, or drilled again; legal time. Nothing if it is no canary.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// Every drill, oldest first.
    drills: Vec<DrillView>,
}

/// The report of a drill.
#[derive(Debug, Serialize, ToSchema)]
pub struct DrillView {
    /// The cut.
    #[schema(value_type = String, format = "uuid")]
    cut: CutId,
    /// The cut's number within the tenant.
    number: u32,
    /// Who ordered it.
    ordered_by: String,
    /// Why.
    reason: String,
    /// When; legal time.
    #[schema(value_type = String, format = DateTime)]
    ordered_at: Timestamp,
    /// When the API took the request in; real clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    received_at: Option<Timestamp>,
    /// `under-way`, `passed` or `failed`: every step has to pass.
    verdict: &'static str,
    /// Each step.
    steps: Vec<DrillStepView>,
    /// The designated channels that took nothing within their time, each by its contact.
    silent: Vec<String>,
}

/// One step of a drill.
#[derive(Debug, Serialize, ToSchema)]
pub struct DrillStepView {
    /// `durable`: after it was received; `t0`: the first kernel's commit, after that; `proven`:
    /// every host's signed statement is here, after t0; `told`: a notice arrived (E2), after t0;
    /// `restored`: on every host, after that was ordered.
    step: &'static str,
    /// The contact and channel of `told`.
    channel: Option<String>,
    /// When; real clock, and of `t0` and `restored` the host's.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// How long it took, ms; the clocks of two machines may make it negative.
    after_ms: Option<i64>,
    /// How long it may take, ms.
    limit_ms: i64,
    /// `under-way`, `passed` or `failed`: what is not known has not passed.
    result: &'static str,
}

/// Rehearse the emergency cut on a canary: it is cut for real, and restored by itself
#[utoipa::path(post, path = "/v1/tenants/{id}/drill", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 202, body = Accepted)))]
pub async fn drill(
    State(app): State<App>,
    Extension(Received(at)): Extension<Received>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let engine = app.engine.clone();
    let work = |call, Reason { reason }| async move { engine.drill(call, id, reason, at).await };
    let tenant = change.make(work).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::of(&tenant, OrderKind::Cut))))
}

/// The reports of the tenant's drills, and whether it is a canary
#[utoipa::path(get, path = "/v1/tenants/{id}/drills", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = DrillsView)))]
pub async fn show(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<DrillsView>, Problem> {
    let tenant = app.engine.tenant(id).await?;
    let reports = app.engine.drill_reports(&tenant).into_iter();
    Ok(Json(DrillsView {
        version: tenant.version,
        due_at: drill::due_at(&tenant),
        drills: reports.map(|(at, report)| DrillView::of(&tenant.cuts[at], report)).collect(),
        canary: tenant.canary,
    }))
}

/// Propose that the tenant is a canary, which may be drilled: a second person confirms it
#[utoipa::path(post, path = "/v1/tenants/{id}/canary", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn propose(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::ProposeCanary { reason }).await
}

/// Confirm the proposed canary, as the second person: from now on it may be drilled
#[utoipa::path(post, path = "/v1/tenants/{id}/canary/confirmation", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView)))]
pub async fn confirm(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |Nothing {}| Event::ConfirmCanary).await
}

/// Withdraw a canary, in force or proposed: the tenant is drilled no more
#[utoipa::path(post, path = "/v1/tenants/{id}/canary/withdrawal", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn withdraw(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::WithdrawCanary { reason }).await
}

impl DrillView {
    fn of(cut: &Cut, report: DrillReport) -> Self {
        let DrillReport { verdict, steps, silent } = report;
        Self {
            cut: cut.id,
            number: cut.number,
            ordered_by: cut.ordered_by.clone(),
            reason: cut.reason.clone(),
            ordered_at: cut.ordered_at,
            received_at: cut.drill.as_ref().and_then(|drill| drill.received_at),
            verdict: verdict.as_str(),
            steps: steps.into_iter().map(DrillStepView::from).collect(),
            silent,
        }
    }
}

impl From<DrillStep> for DrillStepView {
    fn from(done: DrillStep) -> Self {
        let DrillStep { step, channel, at, after_ms, limit_ms, verdict } = done;
        Self { step, channel, at, after_ms, limit_ms, result: verdict.as_str() }
    }
}
