//! What a live system has to have on file (clauses 5.5 and 5.6).

use axum::extract::State;
use tenure_protocol::id::TenantId;

use super::{
    App,
    acts::{Reason, act, shown},
    extract::{Body, Caller, Id, IfMatch},
    form::{AssessmentForm, IcpFilingForm},
    problem::Problem,
    tenants::Shown,
    view::TenantView,
};
use crate::core::{
    lifecycle::Event,
    tenant::{Assessment, IcpFiling},
};

/// File the MLPS (等保) assessment report (clause 5.5)
#[utoipa::path(post, path = "/v1/tenants/{id}/assessment", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = AssessmentForm,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn assessment(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(assessment): Body<Assessment>,
) -> Result<Shown, Problem> {
    let event = Event::FileAssessment { assessment };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// File the ICP filing (clause 5.6); in formal operation it opens ports for the Internet
#[utoipa::path(post, path = "/v1/tenants/{id}/icp", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = IcpFilingForm,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn icp(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(filing): Body<IcpFiling>,
) -> Result<Shown, Problem> {
    let event = Event::FileIcp { filing };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}

/// Open ports for the Internet before the ICP filing, if the site's rules allow it (5.6)
#[utoipa::path(post, path = "/v1/tenants/{id}/icp/opening", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn open_icp(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    if_match: IfMatch,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Shown, Problem> {
    let event = Event::OpenIcp { reason };
    let tenant = act(&app, actor, id, if_match, event).await?;
    shown(&app, &tenant).await
}
