//! Records of a tenant and of the platform: added, confirmed by others, and shown.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    id::{RecordId, TenantId},
    time::Timestamp,
};
use utoipa::ToSchema;

use super::{
    App,
    change::Change,
    content,
    extract::{Caller, Id},
    form::{self, DocumentForm},
    listing::{Listing, Paging},
    problem::Problem,
};
use crate::core::{
    lifecycle::{Actor, Document, Role},
    record::{Confirmation, Content, NewRecord, Record, RecordStanding},
};

/// A new record. Its `content` has a `kind`, and the fields of that kind.
#[derive(Debug, ToSchema)]
#[schema(as = NewRecord)]
pub struct RecordForm {
    /// One of `handover-receipt`, `inspection`, `support`, `responsibility-letter`,
    /// `administrators`, `lawful-access`, `access-shown`; of the platform: `controls`,
    /// `platform-assessment`.
    #[schema(schema_with = content::content)]
    pub content: serde_json::Value,
    /// When it took effect; now, if not given. More than a day ago needs a scan and a second
    /// person.
    #[schema(format = DateTime)]
    pub effective_at: Option<String>,
    /// Attachments, uploaded before.
    #[schema(required = false, max_items = 16)]
    pub documents: Vec<DocumentForm>,
}

/// What a second person says to a record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Opinion {
    /// Whether it is so.
    agreed: bool,
    /// What was looked at, or why not.
    #[schema(schema_with = form::text)]
    opinion: String,
}

/// A record, and whether it counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: RecordId,
    /// About which tenant; none if it is about the platform.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub tenant: Option<TenantId>,
    /// Its kind.
    pub kind: &'static str,
    /// Clause of the standard.
    pub clause: &'static str,
    /// `waits`, `counts` or `rejected`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub standing: RecordStanding,
    /// When it took effect; legal time.
    #[schema(value_type = String, format = DateTime)]
    pub effective_at: Timestamp,
    /// When it was recorded; legal time.
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: Timestamp,
    /// By whom.
    pub recorded_by: String,
    /// In which role.
    #[schema(value_type = String)]
    pub role: Role,
    /// Whether the customer is not told.
    pub sealed: bool,
    /// What it says.
    #[schema(value_type = Object)]
    pub content: Content,
    /// Its attachments.
    #[schema(value_type = Vec<DocumentForm>)]
    pub documents: Vec<Document>,
    /// What others said to it.
    #[schema(value_type = Vec<Object>)]
    pub confirmations: Vec<Confirmation>,
}

impl From<Record> for RecordView {
    fn from(record: Record) -> Self {
        let kind = record.content.kind();
        Self {
            id: record.id,
            tenant: record.tenant,
            kind: kind.as_str(),
            clause: kind.clause(),
            standing: record.standing(),
            effective_at: record.effective_at,
            recorded_at: record.recorded_at,
            recorded_by: record.recorded_by,
            role: record.role,
            sealed: record.sealed,
            content: record.content,
            documents: record.documents,
            confirmations: record.confirmations,
        }
    }
}

/// Record something about a tenant (clauses 5, 7 and 8)
#[utoipa::path(post, path = "/v1/tenants/{id}/records", tag = "tenants",
    params(("id" = String, Path, format = "uuid")), request_body = RecordForm,
    responses((status = 201, body = RecordView)))]
pub async fn add(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<NewRecord>,
) -> Result<(StatusCode, Json<RecordView>), Problem> {
    added(&app, Some(id), change).await
}

/// A tenant's records, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/records", tag = "tenants",
    params(("id" = String, Path, format = "uuid"), Paging),
    responses((status = 200, body = [RecordView])))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    listed(&app, &actor, Some(id), &listing).await
}

/// Say as a second person whether a tenant's record is so; of a lawful access, approve it
#[utoipa::path(post, path = "/v1/tenants/{id}/records/{record}/confirmations", tag = "provider",
    params(("id" = String, Path, format = "uuid"), ("record" = String, Path, format = "uuid")),
    request_body = Opinion,
    responses((status = 200, body = RecordView)))]
pub async fn confirm(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    Path((_tenant, record)): Path<(String, String)>,
    change: Change<Opinion>,
) -> Result<Json<RecordView>, Problem> {
    confirmed(&app, Some(id), parsed(&record)?, change).await
}

/// Record something about the platform (clauses 8.1 and 8.2)
#[utoipa::path(post, path = "/v1/platform/records", tag = "platform", request_body = RecordForm,
    responses((status = 201, body = RecordView)))]
pub async fn add_platform(
    State(app): State<App>,
    change: Change<NewRecord>,
) -> Result<(StatusCode, Json<RecordView>), Problem> {
    added(&app, None, change).await
}

/// The platform's records, oldest first
#[utoipa::path(get, path = "/v1/platform/records", tag = "platform", params(Paging),
    responses((status = 200, body = [RecordView])))]
pub async fn list_platform(
    State(app): State<App>,
    Caller(actor): Caller,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    listed(&app, &actor, None, &listing).await
}

/// Say as a second person whether a record of the platform is so
#[utoipa::path(post, path = "/v1/platform/records/{record}/confirmations", tag = "platform",
    params(("record" = String, Path, format = "uuid")), request_body = Opinion,
    responses((status = 200, body = RecordView)))]
pub async fn confirm_platform(
    State(app): State<App>,
    Path(record): Path<String>,
    change: Change<Opinion>,
) -> Result<Json<RecordView>, Problem> {
    confirmed(&app, None, parsed(&record)?, change).await
}

async fn added(
    app: &App,
    tenant: Option<TenantId>,
    change: Change<NewRecord>,
) -> Result<(StatusCode, Json<RecordView>), Problem> {
    let engine = app.engine.clone();
    let add = |call, new| async move { engine.add_record(call, tenant, new).await };
    Ok((StatusCode::CREATED, Json(change.make(add).await?.into())))
}

async fn listed(
    app: &App,
    actor: &Actor,
    tenant: Option<TenantId>,
    listing: &Listing<u64>,
) -> Result<Response, Problem> {
    let slice = app.engine.records(actor, tenant, &listing.page).await?;
    Ok(listing.answer(slice, RecordView::from))
}

async fn confirmed(
    app: &App,
    tenant: Option<TenantId>,
    record: RecordId,
    change: Change<Opinion>,
) -> Result<Json<RecordView>, Problem> {
    let engine = app.engine.clone();
    let confirm = |call, Opinion { agreed, opinion }| async move {
        engine.confirm_record(call, tenant, record, agreed, &opinion).await
    };
    Ok(Json(change.make(confirm).await?.into()))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::bad_request("invalid-id", error.to_string()))
}
