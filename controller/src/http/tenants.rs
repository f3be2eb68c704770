//! Tenants, read. The gate has let the caller through to the one that the path names. The list
//! holds a customer's own tenants, drafts too; and for the provider's people all that were
//! submitted.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tenure_protocol::{
    id::{OrderId, TenantId},
    time::{self, Timestamp},
};
use utoipa::{
    IntoParams,
    openapi::{RefOr, Schema},
};

use super::{
    App,
    extract::{Caller, Id},
    form,
    listing::{Listing, Paging, invalid_query},
    problem::Problem,
    row::{EvidenceView, NoticeView, OrderView},
    view::{HostNames, TenantView},
};
use crate::{
    core::{
        lifecycle::Role,
        tenant::{Isolation, Phase},
    },
    engine::{Slice, TenantFilter},
};

/// Which tenants: all of what is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// In this phase.
    #[param(required = false, schema_with = phases)]
    phase: Option<Phase>,
    /// Of this customer; a customer's token sees its own anyway.
    #[param(required = false, min_length = 1)]
    customer: Option<String>,
    /// With this isolation.
    #[param(required = false, schema_with = isolations)]
    isolation: Option<IsolationName>,
    /// Something is owed whose deadline is before this instant (RFC 3339).
    #[serde(default, deserialize_with = "time::nearest")]
    #[param(required = false, value_type = String, format = DateTime)]
    due_before: Option<Timestamp>,
    /// `true`: something is owed whose deadline has passed.
    #[serde(default)]
    #[param(required = false, default = false)]
    overdue: bool,
}

/// The stable text of an isolation.
#[derive(Debug, Clone, Copy)]
struct IsolationName(&'static str);

impl<'de> Deserialize<'de> for IsolationName {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let known = Isolation::TEXTS.into_iter().find(|known| *known == text);
        known.map(Self).ok_or_else(|| {
            let known = Isolation::TEXTS.join(", ");
            serde::de::Error::custom(format!("there is no such isolation; there are {known}"))
        })
    }
}

fn phases() -> RefOr<Schema> {
    form::words(Phase::ALL)
}

fn isolations() -> RefOr<Schema> {
    form::words(Isolation::TEXTS)
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

/// All tenants that the caller may see, oldest first
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(Paging, Filter),
    responses((status = 200, body = [TenantView])))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    listing: Listing<TenantId, Filter>,
) -> Result<Response, Problem> {
    let Filter { phase, customer, isolation, due_before, overdue } = &listing.filter;
    if customer.as_deref() == Some("") {
        return Err(invalid_query("customer takes a name"));
    }
    let customer = customer.clone();
    let customer = match (actor.role, actor.customer) {
        (Role::Customer, own) => {
            let own = own.unwrap_or_default();
            if customer.is_some_and(|asked| asked != own) {
                return Ok(listing.answer(Slice { items: Vec::<()>::new(), next: None }, |_| ()));
            }
            Some(own)
        }
        (_, _) => customer,
    };
    let clock = app.engine.clock();
    // Met before the deadline: at the deadline itself it has passed.
    let passed = overdue.then(|| clock.legal(clock.now()).plus_ms(1));
    let filter = TenantFilter {
        phase: *phase,
        customer,
        isolation: isolation.map(|name| name.0),
        due_before: [*due_before, passed].into_iter().flatten().min(),
        drafts: actor.role == Role::Customer,
    };
    let hosts = host_names(&app).await?;
    let slice = app.engine.tenants(&filter, &listing.page).await?;
    Ok(listing.answer(slice, |tenant| TenantView::of(&tenant, &hosts, app.engine.rules())))
}

/// One tenant
#[utoipa::path(get, path = "/v1/tenants/{id}", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = TenantView)))]
pub async fn show(State(app): State<App>, Id(id): Id<TenantId>) -> Result<Shown, Problem> {
    let tenant = app.engine.tenant(id).await?;
    Ok(Shown(StatusCode::OK, TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules())))
}

/// What happened to a tenant, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/journal", tag = "tenants",
    params(("id" = String, Path, format = "uuid"), Paging),
    responses((status = 200, body = [Object])))]
pub async fn journal(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    let slice = app.engine.journal(id, &listing.page).await?;
    Ok(listing.answer(slice, |record| record))
}

/// A tenant's orders to hosts, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/orders", tag = "tenants",
    params(("id" = String, Path, format = "uuid"), Paging),
    responses((status = 200, body = [OrderView])))]
pub async fn orders(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    let slice = app.engine.orders(id, &listing.page).await?;
    Ok(listing.answer(slice, OrderView::from))
}

/// A tenant's notices with every try, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/notices", tag = "tenants",
    params(("id" = String, Path, format = "uuid"), Paging),
    responses((status = 200, body = [NoticeView])))]
pub async fn notices(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    let mut slice = app.engine.notices(id, &listing.page).await?;
    slice.items.retain(|one| actor.role != Role::Customer || !one.kind.is_providers());
    Ok(listing.answer(slice, NoticeView::from))
}

/// A tenant's signed envelopes, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/evidence", tag = "tenants",
    params(("id" = String, Path, format = "uuid"), Paging),
    responses((status = 200, body = [EvidenceView])))]
pub async fn evidence(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    let slice = app.engine.evidence(id, &listing.page).await?;
    Ok(listing.answer(slice, EvidenceView::from))
}

/// A closed tenant's exit bundle
#[utoipa::path(get, path = "/v1/tenants/{id}/bundle", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Vec<u8>, content_type = "application/x-tar")))]
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
    responses((status = 200, body = OrderView)))]
pub async fn order(
    State(app): State<App>,
    Id(id): Id<OrderId>,
) -> Result<Json<OrderView>, Problem> {
    Ok(Json(app.engine.order(id).await?.into()))
}
