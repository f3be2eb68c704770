//! What a live system has to have on file (clauses 5.5 and 5.6).

use axum::extract::State;
use serde::Deserialize;
use tenure_protocol::id::TenantId;
use utoipa::ToSchema;

use super::{
    App,
    acts::{Reason, done},
    change::Change,
    extract::Id,
    form::{self, AssessmentForm, IcpFilingForm},
    problem::Problem,
    tenants::Shown,
    view::TenantView,
};
use crate::core::{
    lifecycle::Event,
    tenant::{Assessment, IcpFiling},
};

/// What the ministry's register says of an ICP filing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IcpCheck {
    /// Whether the filing stands there as it was filed here.
    found: bool,
    /// What was looked up, and what stands there.
    #[schema(schema_with = form::text)]
    opinion: String,
}

/// File the MLPS (等保) assessment report (clause 5.5)
#[utoipa::path(post, path = "/v1/tenants/{id}/assessment", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = AssessmentForm,
    responses((status = 200, body = TenantView)))]
pub async fn assessment(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Assessment>,
) -> Result<Shown, Problem> {
    done(app, id, change, |assessment| Event::FileAssessment { assessment }).await
}

/// File the ICP filing (clause 5.6): a reviewer looks it up before ports for the Internet open
#[utoipa::path(post, path = "/v1/tenants/{id}/icp", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = IcpFilingForm,
    responses((status = 200, body = TenantView)))]
pub async fn icp(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<IcpFiling>,
) -> Result<Shown, Problem> {
    done(app, id, change, |filing| Event::FileIcp { filing }).await
}

/// Say whether the ICP filing stands in the ministry's register: if so, in formal operation, ports
/// for the Internet open (clause 5.6)
#[utoipa::path(post, path = "/v1/tenants/{id}/icp/confirmation", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = IcpCheck,
    responses((status = 200, body = TenantView)))]
pub async fn confirm_icp(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<IcpCheck>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |IcpCheck { found, opinion }| Event::ConfirmIcp {
        found,
        opinion,
    })
    .await
}

/// Open ports for the Internet before the ICP filing, if the site's rules allow it (5.6)
#[utoipa::path(post, path = "/v1/tenants/{id}/icp/opening", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn open_icp(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::OpenIcp { reason }).await
}
