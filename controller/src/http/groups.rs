//! Security groups: what passes at a tenant's instances, in its customer's own hand.

use axum::{Json, extract::State, http::StatusCode};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{id::TenantId, time::Timestamp};
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema,
        schema::{AdditionalProperties, Type},
    },
};

use super::{
    App,
    acts::ordered,
    change::Change,
    extract::Id,
    form::{self, many, words},
    problem::Problem,
    view::Accepted,
};
use crate::core::{
    admission::{ROLE_LIMIT, ROLE_PATTERN},
    group::{
        Direction, Group, GroupRequest, PREFIX_LIMIT, Peer, Protocol, ROLES_LIMIT, RULES_LIMIT,
        Rule,
        passing::{Force, Rulebook},
    },
    lifecycle::Event,
    tenant::{OrderKind, Tenant, Zone},
};

/// A security group, whole: it takes the place of one of the same name.
#[derive(Debug, ToSchema)]
#[schema(as = Group)]
pub struct GroupForm {
    /// Its name within the tenant.
    #[schema(schema_with = label)]
    pub name: String,
    /// Roles of the instances that it is attached to.
    #[schema(required = false, schema_with = roles)]
    pub roles: Vec<String>,
    /// What it lets pass.
    #[schema(required = false, schema_with = rules)]
    pub rules: Vec<RuleForm>,
}

/// A rule of a security group.
#[derive(Debug, ToSchema)]
#[schema(as = GroupRule)]
pub struct RuleForm {
    /// `ingress` or `egress`: answers pass the other way.
    #[schema(schema_with = directions)]
    pub direction: String,
    /// The protocol.
    #[schema(schema_with = protocols)]
    pub protocol: String,
    /// The port, or the first of a range; of `tcp` and `udp` alone, which need it.
    #[schema(required = false, minimum = 1, maximum = 65535)]
    pub port: Option<u16>,
    /// The last port of a range.
    #[schema(required = false, minimum = 1, maximum = 65535)]
    pub last_port: Option<u16>,
    /// With whom.
    #[schema(schema_with = peer)]
    pub peer: String,
    /// What it is for.
    #[schema(schema_with = form::name)]
    pub purpose: String,
    /// Its last day, such as 2026-12-31: later it lets nothing pass, and the customer is told.
    #[schema(required = false, format = Date)]
    pub until: Option<String>,
}

/// Which group is removed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRemoval {
    /// Its name.
    #[schema(schema_with = label)]
    name: String,
}

/// A security group.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupView {
    /// Its name within the tenant.
    name: String,
    /// Roles of the instances that it is attached to.
    roles: Vec<String>,
    /// What it lets pass.
    rules: Vec<RuleView>,
}

/// A rule of a security group, and how far it is in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleView {
    /// Which way the first packet goes.
    #[schema(schema_with = directions)]
    direction: Direction,
    /// The protocol.
    #[schema(schema_with = protocols)]
    protocol: Protocol,
    /// The port, or the first of a range.
    port: Option<u16>,
    /// The last port of a range.
    last_port: Option<u16>,
    /// With whom.
    #[schema(schema_with = peer)]
    peer: Peer,
    /// What it is for.
    purpose: String,
    /// Its last day.
    #[schema(value_type = Option<String>, format = Date)]
    until: Option<Date>,
    /// When its term was found to be over; legal time.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// How far it is in force.
    #[schema(schema_with = forces)]
    state: &'static str,
}

/// The tenant's security groups: those of its application, until its customer sets others
#[utoipa::path(get, path = "/v1/tenants/{id}/groups", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [GroupView])))]
pub async fn list(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<GroupView>>, Problem> {
    let tenant = app.engine.tenant(id).await?;
    let book = Rulebook::of(&tenant, app.engine.zones());
    Ok(Json(tenant.groups().into_iter().map(|group| GroupView::of(group, &book)).collect()))
}

/// Set a security group: hosts put it in force at once, as far as the law opens its zones
#[utoipa::path(post, path = "/v1/tenants/{id}/groups", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = GroupForm,
    responses((status = 202, body = Accepted)))]
pub async fn set(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<GroupRequest>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    ordered(app, id, change, OrderKind::Configure, |group| Event::SetGroup { group }).await
}

/// Remove a security group that no other names as a peer
#[utoipa::path(post, path = "/v1/tenants/{id}/groups/removal", tag = "customer",
    params(("id" = String, Path, format = "uuid")), request_body = GroupRemoval,
    responses((status = 202, body = Accepted)))]
pub async fn remove(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<GroupRemoval>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let event = |GroupRemoval { name }| Event::RemoveGroup { name };
    ordered(app, id, change, OrderKind::Configure, event).await
}

/// Names of the groups that are attached to a role.
pub(super) fn attached(tenant: &Tenant, role: &str) -> Vec<String> {
    let groups = tenant.groups().into_iter().filter(|group| group.roles.contains(role));
    groups.map(|group| group.name).collect()
}

impl GroupView {
    fn of(group: Group, book: &Rulebook<'_>) -> Self {
        let Group { name, roles, rules } = group;
        let rules = rules.into_iter().map(|rule| RuleView::of(rule, book)).collect();
        Self { name, roles: roles.into_iter().collect(), rules }
    }
}

impl RuleView {
    fn of(rule: Rule, book: &Rulebook<'_>) -> Self {
        let state = book.force(&rule).as_str();
        let Rule { asked, ended_at } = rule;
        Self {
            direction: asked.direction,
            protocol: asked.protocol,
            port: asked.port,
            last_port: asked.last_port,
            peer: asked.peer,
            purpose: asked.purpose,
            until: asked.until,
            ended_at,
            state,
        }
    }
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1))
}

fn label() -> RefOr<Schema> {
    string().max_length(Some(ROLE_LIMIT)).pattern(Some(ROLE_PATTERN)).build().into()
}

fn roles() -> RefOr<Schema> {
    many(label(), 0, ROLES_LIMIT)
}

fn rules() -> RefOr<Schema> {
    many(Ref::from_schema_name("GroupRule"), 0, RULES_LIMIT)
}

fn directions() -> RefOr<Schema> {
    words([Direction::Ingress, Direction::Egress])
}

fn protocols() -> RefOr<Schema> {
    words([Protocol::Tcp, Protocol::Udp, Protocol::Icmp, Protocol::Any])
}

fn forces() -> RefOr<Schema> {
    words(Force::ALL.map(Force::as_str))
}

/// One of three.
fn peer() -> RefOr<Schema> {
    let one = |name: &str, means: &str, schema: ObjectBuilder| {
        let closed = AdditionalProperties::<Schema>::FreeForm(false);
        let object = ObjectBuilder::new().schema_type(Type::Object);
        let object = object.additional_properties(Some(closed)).required(name);
        object.property(name, schema.description(Some(means))).build()
    };
    let prefix = string().max_length(Some(PREFIX_LIMIT));
    let prefix = prefix.pattern(Some(r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$"));
    let zones = [Zone::Internet, Zone::Extranet, Zone::Isolated];
    let zones = zones.into_iter().filter_map(|zone| serde_json::to_value(zone).ok());
    let zone = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(zones));
    let group = string().max_length(Some(ROLE_LIMIT)).pattern(Some(ROLE_PATTERN));
    let peers = OneOfBuilder::new()
        .item(one("prefix", "IPv4 addresses, such as 10.1.0.0/16", prefix))
        .item(one(
            "zone",
            "Everybody, the government extranet with the tenant's own network, or its instances",
            zone,
        ))
        .item(one("group", "The instances of a group of the same tenant, by its name", group));
    Schema::OneOf(peers.build()).into()
}
