//! Cuts of several tenants, or of all that have instances on a host, and their ends (clause 6.3).

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tenure_protocol::id::{CutId, OrderId, TenantId};
use utoipa::{
    ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, RefOr, Schema, SchemaFormat,
        schema::{SchemaType, Type},
    },
};

use super::{
    App,
    change::Change,
    cutting::{cut_kinds, in_earnest},
    form,
    problem::Problem,
};
use crate::core::{
    lifecycle::{CutKind, Event},
    tenant::Isolation,
    together::{MOST_TOGETHER, Outcome, OutcomeKind, Which},
};

/// How ids are written.
const UUID_PATTERN: &str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

/// A cut of several tenants: `tenants` or `host`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutsRequest {
    /// Which kind: `planned` once a notice of it has reached the customer of each.
    #[serde(deserialize_with = "in_earnest")]
    #[schema(schema_with = cut_kinds)]
    kind: CutKind,
    /// Why: the customers read this in the notice.
    #[schema(schema_with = form::text)]
    reason: String,
    /// Their ids, each once.
    #[serde(default)]
    #[schema(required = false, schema_with = tenants)]
    tenants: Option<Vec<TenantId>>,
    /// A host's name or id: all tenants that have instances there are cut, on every host that they
    /// are on.
    #[serde(default)]
    host: Option<String>,
}

/// The end of the cuts of several tenants: `tenants` or `host`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoresRequest {
    /// Why.
    #[schema(schema_with = form::text)]
    reason: String,
    /// Their ids, each once.
    #[serde(default)]
    #[schema(required = false, schema_with = tenants)]
    tenants: Option<Vec<TenantId>>,
    /// A host's name or id: all tenants that have instances there.
    #[serde(default)]
    host: Option<String>,
}

/// What came of an act on several tenants.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Outcomes {
    /// For each tenant, in the order in which they were named.
    pub outcomes: Vec<OutcomeView>,
}

/// What came of it for one tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OutcomeView {
    /// The tenant.
    #[schema(value_type = String, format = "uuid")]
    pub tenant: TenantId,
    /// Whose.
    pub customer: String,
    /// The name of its system.
    pub system: String,
    /// `ordered`, `already` (nothing to do), or `refused`.
    #[schema(value_type = String)]
    pub result: OutcomeKind,
    /// Why nothing was done.
    pub why: Option<String>,
    /// Its version now.
    pub version: u64,
    /// Its isolation now.
    #[schema(value_type = Object)]
    pub isolation: Isolation,
    /// The cut that this is about.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub cut: Option<CutId>,
    /// The orders to its hosts, one for each.
    #[schema(value_type = Vec<String>)]
    pub orders: Vec<OrderId>,
}

impl From<Outcome> for OutcomeView {
    fn from(outcome: Outcome) -> Self {
        let Outcome { tenant, customer, system, result, why, version, isolation, cut, orders } =
            outcome;
        Self { tenant, customer, system, result, why, version, isolation, cut, orders }
    }
}

/// Cut several tenants, or all of a host, at once (clause 6.3)
///
/// One act: nothing is done if one of them is not there or may not be cut; who is cut already is
/// said to be so. Each customer gets one notice over each channel, which lists its systems.
#[utoipa::path(post, path = "/v1/cuts", tag = "provider", request_body = CutsRequest,
    responses((status = 202, body = Outcomes)))]
pub async fn cut(
    State(app): State<App>,
    change: Change<CutsRequest>,
) -> Result<(StatusCode, Json<Outcomes>), Problem> {
    let which = which(change.body.tenants.as_deref(), change.body.host.as_deref())?;
    make(app, change, which, |CutsRequest { kind, reason, .. }| Event::Cut { kind, reason }).await
}

/// End the cuts of several tenants, or of all of a host (clause 6.3)
///
/// One act, as the cut of several is; who is connected already is said to be so.
#[utoipa::path(post, path = "/v1/restores", tag = "provider", request_body = RestoresRequest,
    responses((status = 202, body = Outcomes)))]
pub async fn restore(
    State(app): State<App>,
    change: Change<RestoresRequest>,
) -> Result<(StatusCode, Json<Outcomes>), Problem> {
    let which = which(change.body.tenants.as_deref(), change.body.host.as_deref())?;
    make(app, change, which, |RestoresRequest { reason, .. }| Event::Restore { reason }).await
}

fn tenants() -> RefOr<Schema> {
    let id = ObjectBuilder::new().schema_type(Type::String).pattern(Some(UUID_PATTERN));
    let id = id.format(Some(SchemaFormat::Custom("uuid".to_owned())));
    let types = SchemaType::from_iter([Type::Array, Type::Null]);
    let all = ArrayBuilder::new().schema_type(types).items(id);
    all.min_items(Some(1)).max_items(Some(MOST_TOGETHER)).build().into()
}

fn which(tenants: Option<&[TenantId]>, host: Option<&str>) -> Result<Which, Problem> {
    match (tenants, host) {
        (Some(tenants), None) => Ok(Which::Named(tenants.to_vec())),
        (None, Some(host)) => Ok(Which::OnHost(host.to_owned())),
        (Some(_), Some(_)) | (None, None) => {
            let detail = "name either tenants (their ids) or a host, not both";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", detail))
        }
    }
}

async fn make<T>(
    app: App,
    change: Change<T>,
    which: Which,
    event: impl FnOnce(T) -> Event,
) -> Result<(StatusCode, Json<Outcomes>), Problem> {
    let engine = app.engine;
    let outcomes = change
        .make(|call, body| {
            let event = event(body);
            async move { engine.act_together(call, &which, event).await }
        })
        .await?;
    let outcomes = outcomes.into_iter().map(OutcomeView::from).collect();
    Ok((StatusCode::ACCEPTED, Json(Outcomes { outcomes })))
}
