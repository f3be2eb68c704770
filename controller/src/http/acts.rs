//! What callers do to tenants: every act is one event of the lifecycle, which decides.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::civil::Date;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::ToSchema;

use super::{
    App,
    extract::{Body, Caller, Id, IfMatch},
    form::{ApplicationForm, DocumentForm},
    problem::Problem,
    tenants::{Shown, host_names},
    view::{Accepted, TenantView},
    whole,
};
use crate::core::{
    destination,
    lifecycle::{Actor, CutKind, Decision, Document, Event, ReportsDecision},
    tenant::{Application, OrderKind, Tenant},
};

/// An opinion on an application, or on leaving.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// `approve`, `reject` or `return`.
    #[schema(value_type = String)]
    decision: Decision,
    /// Why.
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
    /// `pass` or `fail`.
    #[schema(value_type = String)]
    decision: ReportsDecision,
    /// Why, or what to rectify.
    opinion: String,
}

/// A cut.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutRequest {
    /// `emergency`.
    #[schema(value_type = String)]
    kind: CutKind,
    /// Why: the customer reads this in the notice.
    reason: String,
}

/// A reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why.
    reason: String,
}

/// An application to leave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// The day on which the instances stop (Asia/Shanghai).
    #[schema(value_type = String, format = Date)]
    stop_day: Date,
    /// Why.
    reason: String,
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

async fn act(
    app: &App,
    actor: Actor,
    id: TenantId,
    IfMatch(version): IfMatch,
    event: Event,
) -> Result<Tenant, Problem> {
    let engine = app.engine.clone();
    whole(async move { engine.act_if(actor, id, version, event).await }).await
}

async fn shown(app: &App, tenant: &Tenant) -> Result<Shown, Problem> {
    Ok(Shown(StatusCode::OK, TenantView::of(tenant, &host_names(app).await?)))
}

fn accepted(tenant: &Tenant, kind: OrderKind) -> (StatusCode, Json<Accepted>) {
    (StatusCode::ACCEPTED, Json(Accepted::of(tenant, kind)))
}

/// Every destination that an application names is checked before it is taken.
fn check_destinations(app: &App, application: &Application) -> Result<(), Problem> {
    let wrong = |contact: &str, error: destination::DestinationError| {
        let detail = format!("contact {contact:?}: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-application", detail)
    };
    for contact in &application.contacts {
        if let Some(address) = &contact.email {
            destination::mail(address).map_err(|error| wrong(&contact.name, error))?;
        }
        if let Some(webhook) = &contact.webhook {
            destination::webhook(&webhook.url, app.site.destinations)
                .and_then(|()| destination::webhook_secret(webhook.secret.reveal()))
                .map_err(|error| wrong(&contact.name, error))?;
        }
    }
    Ok(())
}

/// Apply (clause 4.2)
#[utoipa::path(post, path = "/v1/applications", tag = "customer", request_body = ApplicationForm,
    responses((status = 201, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn submit(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(application): Body<Application>,
) -> Result<Response, Problem> {
    check_destinations(&app, &application)?;
    let engine = app.engine.clone();
    let tenant = whole(async move { engine.submit(actor, application).await }).await?;
    let location = [(header::LOCATION, format!("/v1/tenants/{}", tenant.id))];
    let view = TenantView::of(&tenant, &host_names(&app).await?);
    Ok((location, Shown(StatusCode::CREATED, view)).into_response())
}

/// Apply again after a return for correction (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/application", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = ApplicationForm,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn resubmit(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(application): Body<Application>,
) -> Result<Shown, Problem> {
    check_destinations(&app, &application)?;
    let tenant = act(&app, actor, id, if_match, Event::Submit { application }).await?;
    shown(&app, &tenant).await
}

/// Give an opinion on an application (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/review", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Review,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn review(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Review { decision, opinion }): Body<Review>,
) -> Result<Shown, Problem> {
    let tenant = act(&app, actor, id, if_match, Event::Review { decision, opinion }).await?;
    shown(&app, &tenant).await
}

/// Have a failed configuration tried again (clause 5.1)
#[utoipa::path(post, path = "/v1/tenants/{id}/configuration/retry", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem)))]
pub async fn retry(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Nothing {}): Body<Nothing>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let tenant = act(&app, actor, id, if_match, Event::RetryConfiguration).await?;
    Ok(accepted(&tenant, OrderKind::Configure))
}

/// Declare that deployment has started (clause 5.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/deployment", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn deployment(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Shown, Problem> {
    let tenant = act(&app, actor, id, if_match, Event::DeclareDeployment).await?;
    shown(&app, &tenant).await
}

/// Hand in both reports (clause 5.4)
#[utoipa::path(post, path = "/v1/tenants/{id}/reports", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Reports,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn reports(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Reports { test_report, security_report }): Body<Reports>,
) -> Result<Shown, Problem> {
    let event = Event::SubmitReports { test_report, security_report };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Give an opinion on the reports (clause 5.4)
#[utoipa::path(post, path = "/v1/tenants/{id}/reports/review", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = ReportsReview,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn review_reports(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(ReportsReview { decision, opinion }): Body<ReportsReview>,
) -> Result<Shown, Problem> {
    let tenant = act(&app, actor, id, if_match, Event::ReviewReports { decision, opinion }).await?;
    shown(&app, &tenant).await
}

/// File the MLPS (等保) assessment report (clause 5.5)
#[utoipa::path(post, path = "/v1/tenants/{id}/assessment", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = DocumentForm,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn assessment(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(document): Body<Document>,
) -> Result<Shown, Problem> {
    let tenant = act(&app, actor, id, if_match, Event::FileAssessment { document }).await?;
    shown(&app, &tenant).await
}

/// File the proof of the ICP filing (clause 5.6)
#[utoipa::path(post, path = "/v1/tenants/{id}/icp", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = DocumentForm,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn icp(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(document): Body<Document>,
) -> Result<Shown, Problem> {
    let tenant = act(&app, actor, id, if_match, Event::FileIcp { document }).await?;
    shown(&app, &tenant).await
}

/// Cut a tenant's network (clause 6.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/cut", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = CutRequest,
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem)))]
pub async fn cut(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(CutRequest { kind, reason }): Body<CutRequest>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let tenant = act(&app, actor, id, if_match, Event::Cut { kind, reason }).await?;
    Ok(accepted(&tenant, OrderKind::Cut))
}

/// End the cut (clause 6.3)
#[utoipa::path(post, path = "/v1/tenants/{id}/restore", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem)))]
pub async fn restore(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let tenant = act(&app, actor, id, if_match, Event::Restore { reason }).await?;
    Ok(accepted(&tenant, OrderKind::Restore))
}

/// Ask to leave (clause 6.1)
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Leaving,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn offboarding(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Leaving { stop_day, reason }): Body<Leaving>,
) -> Result<Shown, Problem> {
    let event = Event::RequestOffboarding { stop_day, reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Give an opinion on leaving (clause 6.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/review", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Review,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn review_offboarding(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Review { decision, opinion }): Body<Review>,
) -> Result<Shown, Problem> {
    let event = Event::ReviewOffboarding { decision, opinion };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Confirm migration and backup (clause 6.1)
#[utoipa::path(post, path = "/v1/tenants/{id}/offboarding/confirm", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Confirmation,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn confirm(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Confirmation { migrated, backed_up }): Body<Confirmation>,
) -> Result<Shown, Problem> {
    let event = Event::ConfirmOffboarding { migrated, backed_up };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Approve the wipe as one of two persons; the second approval orders it (clause 6.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/wipe/approvals", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem)))]
pub async fn approve_wipe(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Nothing {}): Body<Nothing>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let tenant = act(&app, actor, id, if_match, Event::ApproveWipe).await?;
    Ok(accepted(&tenant, OrderKind::Wipe))
}
