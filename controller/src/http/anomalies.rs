//! Anomalies: from when on a tenant has one, and the rule by which it is cut for it.

use std::collections::BTreeSet;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    id::TenantId,
    wire::v1::{AlarmKind, WHOLE_PERMILLE},
};
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

use super::{
    App,
    acts::{Nothing, Reason, done, ordered},
    change::Change,
    extract::Id,
    form,
    problem::Problem,
    tenants::Shown,
    view::{Accepted, TenantView},
};
use crate::core::{
    anomaly::{Anomalies, CUTTING, CutRule, OwnThresholds, Proposal, RATE_LIMIT},
    lifecycle::Event,
    tenant::OrderKind,
};

/// A tenant's own thresholds, all of them: each that is left out is the site's.
#[derive(Debug, ToSchema)]
#[schema(as = Thresholds)]
pub struct ThresholdsForm {
    /// Packets of one network card in one direction, in a second.
    #[schema(required = false, schema_with = rate)]
    pub packets_per_s: Option<u64>,
    /// TCP connections that one network card begins, or is asked for, in a second.
    #[schema(required = false, schema_with = rate)]
    pub connections_per_s: Option<u64>,
    /// Bytes that one instance reads from its volumes and writes to them, in a second.
    #[schema(required = false, schema_with = rate)]
    pub disk_bytes_per_s: Option<u64>,
    /// Thousandths of its processors' time that a host does not get.
    #[schema(required = false, schema_with = share)]
    pub steal_permille: Option<u64>,
}

/// A rule by which the tenant is cut.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CutRuleProposal {
    /// For which kinds of alarm.
    #[schema(schema_with = kinds)]
    kinds: BTreeSet<AlarmKind>,
    /// Why.
    #[schema(schema_with = form::text)]
    reason: String,
}

/// What is done about a tenant's anomalies.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnomaliesView {
    /// The tenant's version: a confirmation is about one.
    version: u64,
    /// `alert`: people are told; `cut`: the tenant is cut for the rule's kinds, too.
    policy: &'static str,
    /// From when on there is one: what is watched.
    #[schema(value_type = Object)]
    thresholds: tenure_protocol::wire::v1::Thresholds,
    /// Which of them are the tenant's own, in place of the site's.
    #[schema(value_type = Object)]
    own: OwnThresholds,
    /// The rule by which the tenant is cut, with the two persons who signed it.
    #[schema(value_type = Option<Object>)]
    in_force: Option<CutRule>,
    /// A rule that waits for a second person.
    #[schema(value_type = Option<Object>)]
    proposed: Option<Proposal>,
}

fn whole_number() -> ObjectBuilder {
    let types = [Type::Integer, Type::Null];
    ObjectBuilder::new().schema_type(SchemaType::from_iter(types)).minimum(Some(1_usize))
}

fn rate() -> RefOr<Schema> {
    whole_number().maximum(usize::try_from(RATE_LIMIT).ok()).build().into()
}

fn share() -> RefOr<Schema> {
    whole_number().maximum(usize::try_from(WHOLE_PERMILLE).ok()).build().into()
}

fn kinds() -> RefOr<Schema> {
    form::many(form::words(CUTTING), 1, CUTTING.len())
}

/// What is done about the tenant's anomalies: thresholds, and the rule by which it is cut
#[utoipa::path(get, path = "/v1/tenants/{id}/anomalies", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = AnomaliesView)))]
pub async fn show(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<AnomaliesView>, Problem> {
    let tenant = app.engine.tenant(id).await?;
    let Anomalies { thresholds: own, proposed, in_force } = tenant.anomalies;
    Ok(Json(AnomaliesView {
        version: tenant.version,
        policy: if in_force.is_some() { "cut" } else { "alert" },
        thresholds: own.over(app.engine.thresholds()),
        own,
        in_force,
        proposed,
    }))
}

/// Set from when on what hosts count is an anomaly of this tenant: they watch by it at once
#[utoipa::path(post, path = "/v1/tenants/{id}/anomalies/thresholds", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = ThresholdsForm,
    responses((status = 202, body = Accepted)))]
pub async fn set(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<OwnThresholds>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let event = |thresholds| Event::SetThresholds { thresholds };
    ordered(app, id, change, OrderKind::Configure, event).await
}

/// Propose that the tenant is cut for some kinds of anomaly: a second person confirms it
#[utoipa::path(post, path = "/v1/tenants/{id}/anomalies/rule", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = CutRuleProposal,
    responses((status = 200, body = TenantView)))]
pub async fn propose(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<CutRuleProposal>,
) -> Result<Shown, Problem> {
    let event = |CutRuleProposal { kinds, reason }| Event::ProposeCutRule { kinds, reason };
    done(app, id, change, event).await
}

/// Confirm the proposed rule, as the second person: from now on the tenant is cut by it
#[utoipa::path(post, path = "/v1/tenants/{id}/anomalies/rule/confirmation", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = TenantView)))]
pub async fn confirm(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Nothing>,
) -> Result<Shown, Problem> {
    done(app, id, change.on_a_version()?, |Nothing {}| Event::ConfirmCutRule).await
}

/// Take the rule back, in force or proposed: people are told of anomalies, and no more
#[utoipa::path(post, path = "/v1/tenants/{id}/anomalies/rule/withdrawal", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Reason,
    responses((status = 200, body = TenantView)))]
pub async fn withdraw(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Reason>,
) -> Result<Shown, Problem> {
    done(app, id, change, |Reason { reason }| Event::WithdrawCutRule { reason }).await
}
