//! Tenants, read: what a caller may see. A customer sees its own, and nothing tells it that there
//! are others.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tenure_protocol::id::{OrderId, TenantId};
use utoipa::IntoParams;

use super::{
    App,
    extract::{Caller, Id, Parameters},
    problem::Problem,
    record::{EvidenceView, NoticeView, OrderView},
    view::{HostNames, TenantView},
};
use crate::{
    core::{
        lifecycle::{Actor, Role},
        tenant::{Phase, Tenant},
    },
    engine::record::JournalRecord,
};

/// Which tenants.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those in this phase.
    phase: Option<String>,
}

/// A tenant's answer: the view, and its version as ETag.
#[derive(Debug)]
pub struct Shown(pub StatusCode, pub TenantView);

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let tag = HeaderValue::try_from(format!("\"{}\"", self.1.version));
        let mut response = (self.0, Json(self.1)).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// The tenant, if the caller may see it.
///
/// # Errors
/// 404 if it is not there, or another customer's.
pub async fn visible(app: &App, actor: &Actor, id: TenantId) -> Result<Tenant, Problem> {
    let tenant = app.engine.tenant(id).await?;
    if is_visible(actor, &tenant) { Ok(tenant) } else { Err(Problem::not_found("tenant")) }
}

fn is_visible(actor: &Actor, tenant: &Tenant) -> bool {
    match actor.role {
        Role::Customer => actor.customer.as_deref() == Some(tenant.application.customer.as_str()),
        Role::Reviewer
        | Role::Operator
        | Role::Security
        | Role::Auditor
        | Role::Administrator
        | Role::Controller => true,
    }
}

/// Names of all hosts.
///
/// # Errors
/// If the store fails.
pub async fn host_names(app: &App) -> Result<HostNames, Problem> {
    Ok(app.engine.hosts().await?.into_iter().map(|host| (host.id, host.name)).collect())
}

/// All tenants that the caller may see
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(Filter),
    responses((status = 200, body = [TenantView]), (status = "4XX", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Parameters(filter): Parameters<Filter>,
) -> Result<Json<Vec<TenantView>>, Problem> {
    let phase = match filter.phase.as_deref() {
        Some(text) => Some(Phase::parse(text).ok_or_else(|| {
            let names: Vec<_> = Phase::ALL.iter().map(|phase| phase.as_str()).collect();
            let detail = format!("there is no such phase; there are {}", names.join(", "));
            Problem::bad_request("invalid-query", detail)
        })?),
        None => None,
    };
    let hosts = host_names(&app).await?;
    let tenants = app.engine.tenants(phase).await?;
    let seen = tenants.iter().filter(|tenant| is_visible(&actor, tenant));
    let view = |tenant| TenantView::of(tenant, &hosts, app.engine.rules());
    Ok(Json(seen.map(view).collect()))
}

/// One tenant
#[utoipa::path(get, path = "/v1/tenants/{id}", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Shown, Problem> {
    let tenant = visible(&app, &actor, id).await?;
    Ok(Shown(StatusCode::OK, TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules())))
}

/// What happened to a tenant, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/journal", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [Object]), (status = "4XX", body = Problem)))]
pub async fn journal(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<JournalRecord>>, Problem> {
    visible(&app, &actor, id).await?;
    Ok(Json(app.engine.journal(id).await?))
}

/// A tenant's orders to hosts, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/orders", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [OrderView]), (status = "4XX", body = Problem)))]
pub async fn orders(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<OrderView>>, Problem> {
    visible(&app, &actor, id).await?;
    Ok(Json(app.engine.orders(id).await?.into_iter().map(OrderView::from).collect()))
}

/// A tenant's notices with every try, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/notices", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [NoticeView]), (status = "4XX", body = Problem)))]
pub async fn notices(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<NoticeView>>, Problem> {
    visible(&app, &actor, id).await?;
    let notices = app.engine.notices(id).await?.into_iter();
    let seen = notices.filter(|one| actor.role != Role::Customer || !one.kind.is_providers());
    Ok(Json(seen.map(NoticeView::from).collect()))
}

/// A tenant's signed envelopes, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/evidence", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [EvidenceView]), (status = "4XX", body = Problem)))]
pub async fn evidence(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<EvidenceView>>, Problem> {
    visible(&app, &actor, id).await?;
    Ok(Json(app.engine.evidence(id).await?.into_iter().map(EvidenceView::from).collect()))
}

/// A closed tenant's exit bundle
#[utoipa::path(get, path = "/v1/tenants/{id}/bundle", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Vec<u8>, content_type = "application/x-tar"),
        (status = "4XX", body = Problem)))]
pub async fn bundle(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Response, Problem> {
    visible(&app, &actor, id).await?;
    let bytes = app.engine.bundle(id).await?;
    let name = format!("attachment; filename=\"tenure-{id}.tar\"");
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, bytes).into_response())
}

/// One order
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = OrderView), (status = "4XX", body = Problem)))]
pub async fn order(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<OrderId>,
) -> Result<Json<OrderView>, Problem> {
    let order = app.engine.order(id).await?;
    match visible(&app, &actor, order.tenant).await {
        Ok(_) => Ok(Json(order.into())),
        Err(problem) if problem.status == StatusCode::NOT_FOUND.as_u16() => {
            Err(Problem::not_found("order"))
        }
        Err(problem) => Err(problem),
    }
}
