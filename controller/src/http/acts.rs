//! What callers do to tenants: every act is one event of the lifecycle, which decides. What hosts
//! carry out later is answered with 202 and the ids of its orders; all else is done, and answered
//! with the tenant.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::civil::Date;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    App,
    change::Change,
    extract::Id,
    form::{self, ApplicationForm, DocumentForm},
    problem::Problem,
    tenants::{Shown, host_names},
    view::{Accepted, TenantView},
};
use crate::core::{
    admission::ITEMS_LIMIT,
    destination,
    lifecycle::{CutKind, Decision, Document, Event, ReportsDecision},
    tenant::{Application, OrderKind, Tenant},
};

/// An opinion on an application, or on leaving.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The outcome.
    #[schema(schema_with = decisions)]
    decision: Decision,
    /// Why.
    #[schema(schema_with = form::text)]
    opinion: String,
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

/// A cut.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutRequest {
    /// Which kind: `planned` once a notice of it has reached the customer.
    #[schema(schema_with = cut_kinds)]
    kind: CutKind,
    /// Why: the customer reads this in the notice.
    #[schema(schema_with = form::text)]
    reason: String,
}

/// A reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why.
    #[schema(schema_with = form::text)]
    pub(super) reason: String,
}

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

/// Nothing but the act itself: `{}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

fn decisions() -> RefOr<Schema> {
    form::words([Decision::Approve, Decision::Reject, Decision::Return])
}

fn reports_decisions() -> RefOr<Schema> {
    form::words([ReportsDecision::Pass, ReportsDecision::Fail])
}

fn items() -> RefOr<Schema> {
    form::many(form::text(), 0, ITEMS_LIMIT)
}

fn cut_kinds() -> RefOr<Schema> {
    form::words([CutKind::Emergency, CutKind::Planned])
}

/// Lets a tenant's event happen, if the caller may see the tenant.
async fn act<T>(
    app: &App,
    id: TenantId,
    change: Change<T>,
    event: impl FnOnce(T) -> Event,
) -> Result<Tenant, Problem> {
    let engine = app.engine.clone();
    change
        .make(|call, body| {
            let event = event(body);
            async move { engine.act(call, id, event).await }
        })
        .await
}

/// An act that is done with the answer.
pub(super) async fn done<T>(
    app: App,
    id: TenantId,
    change: Change<T>,
    event: impl FnOnce(T) -> Event,
) -> Result<Shown, Problem> {
    let tenant = act(&app, id, change, event).await?;
    let view = TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules());
    Ok(Shown(StatusCode::OK, view))
}

/// An act that hosts carry out later, by orders of this kind.
async fn ordered<T>(
    app: App,
    id: TenantId,
    change: Change<T>,
    kind: OrderKind,
    event: impl FnOnce(T) -> Event,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let tenant = act(&app, id, change, event).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::of(&tenant, kind))))
}

/// Webhooks lead where the site allows, and no other way.
pub(super) fn check_destinations(app: &App, application: &Application) -> Result<(), Problem> {
    for (place, contact) in application.contacts.iter().enumerate() {
        let Some(webhook) = &contact.webhook else { continue };
        destination::webhook(&webhook.url, app.site.destinations).map_err(|error| {
            let detail = format!("contact {:?}: {error}", contact.name);
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-application", detail)
                .with(format!("/contacts/{place}/webhook/url"), error.to_string())
        })?;
    }
    Ok(())
}

/// Apply (clause 4.2)
#[utoipa::path(post, path = "/v1/applications", tag = "customer", request_body = ApplicationForm,
    responses((status = 201, body = TenantView)))]
pub async fn submit(
    State(app): State<App>,
    change: Change<Application>,
) -> Result<Response, Problem> {
    check_destinations(&app, &change.body)?;
    let engine = app.engine.clone();
    let submit = |call, application| async move { engine.submit(call, application).await };
    let tenant = change.make(submit).await?;
    let location = [(header::LOCATION, format!("/v1/tenants/{}", tenant.id))];
    let view = TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules());
    Ok((location, Shown(StatusCode::CREATED, view)).into_response())
}

/// Apply with a draft, or again after a return for correction (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/application", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = ApplicationForm,
    responses((status = 200, body = TenantView)))]
pub async fn resubmit(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Application>,
) -> Result<Shown, Problem> {
    check_destinations(&app, &change.body)?;
    done(app, id, change, |application| Event::Submit { application }).await
}

/// Give an opinion on an application (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/review", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Review,
    responses((status = 200, body = TenantView)))]
pub async fn review(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Review>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |Review { decision, opinion }| Event::Review {
        decision,
        opinion,
    })
    .await
}

/// Have a failed configuration tried again (clause 5.1)
#[utoipa::path(post, path = "/v1/tenants/{id}/configuration/retry", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 202, body = Accepted)))]
pub async fn retry(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    ordered(app, id, change, OrderKind::Configure, |Nothing {}| Event::RetryConfiguration).await
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
