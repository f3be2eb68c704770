//! Applications: drafts, submission, and the way to the provider's opinion (clause 4.2) and to what
//! was applied for (clause 5.1).

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tenure_protocol::id::TenantId;

use super::{
    App,
    acts::{Nothing, Reason, Review, check_destinations, done, ordered},
    change::Change,
    extract::Id,
    form::{ApplicationForm, DraftForm},
    problem::Problem,
    tenants::{Shown, host_names},
    view::{Accepted, TenantView},
};
use crate::{
    core::{
        lifecycle::Event,
        tenant::{Application, OrderKind, Phase},
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
        check_destinations(&app, &app.engine.opened(&draft.application)?.contacts).await?;
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

/// Apply (clause 4.2)
#[utoipa::path(post, path = "/v1/applications", tag = "customer", request_body = ApplicationForm,
    responses((status = 201, body = TenantView)))]
pub async fn submit(
    State(app): State<App>,
    change: Change<Application>,
) -> Result<Response, Problem> {
    check_destinations(&app, &change.body.contacts).await?;
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
    check_destinations(&app, &change.body.contacts).await?;
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
