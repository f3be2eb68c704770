//! Drafts, and what may happen to an application before the provider's opinion (clause 4.2).

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tenure_protocol::id::TenantId;

use super::{
    App,
    acts::{Nothing, Reason, act, check_destinations, shown},
    extract::{Body, Caller, Id, IfMatch},
    form::ApplicationForm,
    problem::Problem,
    tenants::{Shown, host_names, visible},
    view::TenantView,
    whole,
};
use crate::core::{lifecycle::Event, tenant::Application};

/// Keep a draft (clause 4.2): it may lack anything, its lists may be empty
#[utoipa::path(post, path = "/v1/drafts", tag = "customer", request_body = ApplicationForm,
    responses((status = 201, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn draft(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(application): Body<Application>,
) -> Result<Response, Problem> {
    let engine = app.engine.clone();
    let tenant = whole(async move { engine.draft(actor, application).await }).await?;
    let location = [(header::LOCATION, format!("/v1/tenants/{}", tenant.id))];
    let view = TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules());
    Ok((location, Shown(StatusCode::CREATED, view)).into_response())
}

/// Keep a draft anew (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/draft", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = ApplicationForm,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn save_draft(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(application): Body<Application>,
) -> Result<Shown, Problem> {
    let event = Event::SaveDraft { application };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Apply with the draft as it was saved last (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/draft/submission", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn submit_draft(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Shown, Problem> {
    let draft = visible(&app, &actor, id).await?;
    check_destinations(&app, &draft.application)?;
    // The destinations checked are those of this version.
    let if_match = IfMatch(if_match.0.or(Some(draft.version)));
    let tenant = act(&app, actor, id, if_match, Event::SubmitDraft).await?;
    shown(&app, &tenant).await
}

/// Take an application back, before anything was given to it
#[utoipa::path(post, path = "/v1/tenants/{id}/withdrawal", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn withdraw(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Shown, Problem> {
    let event = Event::Withdraw { reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Record that a review waits for a third party: the provider's clock stands still
#[utoipa::path(post, path = "/v1/tenants/{id}/review/suspension", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn suspend(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Shown, Problem> {
    let event = Event::SuspendReview { reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Go on with a review: the provider's clock goes on, and gross time stays on record
#[utoipa::path(post, path = "/v1/tenants/{id}/review/resumption", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn resume(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Shown, Problem> {
    let event = Event::ResumeReview;
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}
