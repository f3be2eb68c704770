//! Tenants, read. The gate has let the caller through to the one that the path names; of the list
//! everybody gets what the policy lets them see.

use std::collections::BTreeMap;

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
    extract::{Entrant, Id, Parameters},
    policy::{Resource, Verdict},
    problem::Problem,
    record::{EvidenceView, NoticeView, OrderView},
    view::{DeadlineView, HostNames, TenantView},
};
use crate::{core::tenant::Phase, engine::record::JournalRecord};

/// The action of [`show`], asked for each tenant of the list.
const SHOW_TENANT: &str = "show-tenant";

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
    Entrant(principal): Entrant,
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
    // One question for each customer, not for each tenant.
    let mut visible = BTreeMap::new();
    let seen = tenants.iter().filter(|tenant| {
        let customer = tenant.application.customer.as_str();
        *visible.entry(customer).or_insert_with(|| {
            let resource = Resource::Tenant(customer);
            app.policy.decide(Some(&principal), SHOW_TENANT, resource) == Verdict::Permitted
        })
    });
    Ok(Json(seen.map(|tenant| TenantView::of(tenant, &hosts)).collect()))
}

/// One tenant
#[utoipa::path(get, path = "/v1/tenants/{id}", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = TenantView), (status = "4XX", body = Problem)))]
pub async fn show(State(app): State<App>, Id(id): Id<TenantId>) -> Result<Shown, Problem> {
    let tenant = app.engine.tenant(id).await?;
    Ok(Shown(StatusCode::OK, TenantView::of(&tenant, &host_names(&app).await?)))
}

/// What happened to a tenant, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/journal", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [Object]), (status = "4XX", body = Problem)))]
pub async fn journal(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<JournalRecord>>, Problem> {
    Ok(Json(app.engine.journal(id).await?))
}

/// What is owed until when, under which clause
#[utoipa::path(get, path = "/v1/tenants/{id}/deadlines", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [DeadlineView]), (status = "4XX", body = Problem)))]
pub async fn deadlines(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<DeadlineView>>, Problem> {
    let tenant = app.engine.tenant(id).await?;
    Ok(Json(tenant.obligations.iter().map(DeadlineView::of).collect()))
}

/// A tenant's orders to hosts, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/orders", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [OrderView]), (status = "4XX", body = Problem)))]
pub async fn orders(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<OrderView>>, Problem> {
    Ok(Json(app.engine.orders(id).await?.into_iter().map(OrderView::from).collect()))
}

/// A tenant's notices with every try, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/notices", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [NoticeView]), (status = "4XX", body = Problem)))]
pub async fn notices(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<NoticeView>>, Problem> {
    Ok(Json(app.engine.notices(id).await?.into_iter().map(NoticeView::from).collect()))
}

/// A tenant's signed envelopes, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/evidence", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [EvidenceView]), (status = "4XX", body = Problem)))]
pub async fn evidence(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<EvidenceView>>, Problem> {
    Ok(Json(app.engine.evidence(id).await?.into_iter().map(EvidenceView::from).collect()))
}

/// A closed tenant's exit bundle
#[utoipa::path(get, path = "/v1/tenants/{id}/bundle", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Vec<u8>, content_type = "application/x-tar"),
        (status = "4XX", body = Problem)))]
pub async fn bundle(State(app): State<App>, Id(id): Id<TenantId>) -> Result<Response, Problem> {
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
    Id(id): Id<OrderId>,
) -> Result<Json<OrderView>, Problem> {
    Ok(Json(app.engine.order(id).await?.into()))
}
