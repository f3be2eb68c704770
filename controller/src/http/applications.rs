//! Drafts, and what may happen to an application before the provider's opinion (clause 4.2).

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tenure_protocol::id::TenantId;

use super::{
    App,
    acts::{Nothing, Reason, check_destinations, done},
    change::Change,
    extract::Id,
    form::DraftForm,
    problem::Problem,
    tenants::{Shown, host_names},
    view::TenantView,
};
use crate::{
    core::{
        lifecycle::Event,
        tenant::{Application, Phase},
    },
    engine::Expected,
};

/// Keep a draft (clause 4.2): its customer alone sees it, until it is submitted
#[utoipa::path(post, path = "/v1/drafts", tag = "customer", request_body = DraftForm,
    responses((status = 201, body = TenantView)))]
pub async fn draft(
    State(app): State<App>,
    change: Change<Application>,
) -> Result<Response, Problem> {
    let engine = app.engine.clone();
    let draft = |call, application| async move { engine.draft(call, application).await };
    let tenant = change.make(draft).await?;
    let location = [(header::LOCATION, format!("/v1/tenants/{}", tenant.id))];
    let view = TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules());
    Ok((location, Shown(StatusCode::CREATED, view)).into_response())
}

/// Keep a draft anew (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/draft", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = DraftForm,
    responses((status = 200, body = TenantView)))]
pub async fn save_draft(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Application>,
) -> Result<Shown, Problem> {
    done(app, id, change, |application| Event::SaveDraft { application }).await
}

/// Apply with the draft as it was saved last (clause 4.2)
#[utoipa::path(post, path = "/v1/tenants/{id}/draft/submission", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView)))]
pub async fn submit_draft(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    mut change: Change<Nothing>,
) -> Result<Shown, Problem> {
    let draft = app.engine.tenant(id).await?;
    if draft.phase == Phase::Draft {
        check_destinations(&app, &draft.application)?;
    }
    if matches!(change.call.expected, Expected::Unsaid | Expected::Any) {
        // The destinations checked are those of this version.
        change.call.expected = Expected::OneOf(vec![draft.version]);
    }
    done(app, id, change, |Nothing {}| Event::SubmitDraft).await
}

/// Take an application back, before anything was given to it
#[utoipa::path(post, path = "/v1/tenants/{id}/withdrawal", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn withdraw(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::Withdraw { reason }).await
}

/// Record that a review waits for a third party: the provider's clock stands still
#[utoipa::path(post, path = "/v1/tenants/{id}/review/suspension", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn suspend(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::SuspendReview { reason }).await
}

/// Go on with a review: the provider's clock goes on, and gross time stays on record
#[utoipa::path(post, path = "/v1/tenants/{id}/review/resumption", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView)))]
pub async fn resume(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Nothing {}| Event::ResumeReview).await
}
