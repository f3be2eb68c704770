//! Records of a tenant and of the platform: added, confirmed by others, and shown.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    id::{RecordId, TenantId},
    time::Timestamp,
};
use utoipa::ToSchema;

use super::{
    App,
    extract::{Body, Caller, Id},
    form::DocumentForm,
    problem::Problem,
    tenants::visible,
    whole,
};
use crate::core::{
    lifecycle::{Actor, Document, Role},
    record::{Confirmation, Content, NewRecord, Record, Standing},
};

/// A new record. Its `content` has a `kind`, and the fields of that kind.
#[derive(Debug, ToSchema)]
#[schema(as = NewRecord)]
pub struct RecordForm {
    /// One of `handover-receipt`, `expert-assessment`, `rectification-item`,
    /// `rectification-evidence`, `inspection`, `support`, `responsibility-letter`,
    /// `administrators`, `lawful-access`, `access-shown`; of the platform: `controls`,
    /// `platform-assessment`.
    #[schema(value_type = Object)]
    pub content: serde_json::Value,
    /// When it took effect; now, if not given. More than a day ago needs a scan and a second
    /// person.
    #[schema(format = DateTime)]
    pub effective_at: Option<String>,
    /// Attachments, uploaded before.
    #[schema(required = false)]
    pub documents: Vec<DocumentForm>,
}

/// What a second person says to a record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Opinion {
    /// Whether it is so.
    agreed: bool,
    /// What was looked at, or why not.
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
    pub standing: Standing,
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
    responses((status = 201, body = RecordView), (status = "4XX", body = Problem)))]
pub async fn add(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
    Body(new): Body<NewRecord>,
) -> Result<(StatusCode, Json<RecordView>), Problem> {
    visible(&app, &actor, id).await?;
    added(&app, actor, Some(id), new).await
}

/// A tenant's records, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/records", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [RecordView]), (status = "4XX", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<RecordView>>, Problem> {
    visible(&app, &actor, id).await?;
    listed(&app, &actor, Some(id)).await
}

/// Say as a second person whether a tenant's record is so; of a lawful access, approve it
#[utoipa::path(post, path = "/v1/tenants/{id}/records/{record}/confirmations", tag = "provider",
    params(("id" = String, Path, format = "uuid"), ("record" = String, Path, format = "uuid")),
    request_body = Opinion,
    responses((status = 200, body = RecordView), (status = "4XX", body = Problem)))]
pub async fn confirm(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((id, record)): Path<(String, String)>,
    Body(opinion): Body<Opinion>,
) -> Result<Json<RecordView>, Problem> {
    let id: TenantId = parsed(&id)?;
    visible(&app, &actor, id).await?;
    confirmed(&app, actor, Some(id), parsed(&record)?, opinion).await
}

/// Record something about the platform (clauses 8.1 and 8.2)
#[utoipa::path(post, path = "/v1/platform/records", tag = "platform", request_body = RecordForm,
    responses((status = 201, body = RecordView), (status = "4XX", body = Problem)))]
pub async fn add_platform(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(new): Body<NewRecord>,
) -> Result<(StatusCode, Json<RecordView>), Problem> {
    added(&app, actor, None, new).await
}

/// The platform's records, oldest first
#[utoipa::path(get, path = "/v1/platform/records", tag = "platform",
    responses((status = 200, body = [RecordView]), (status = "4XX", body = Problem)))]
pub async fn list_platform(
    State(app): State<App>,
    Caller(actor): Caller,
) -> Result<Json<Vec<RecordView>>, Problem> {
    listed(&app, &actor, None).await
}

/// Say as a second person whether a record of the platform is so
#[utoipa::path(post, path = "/v1/platform/records/{record}/confirmations", tag = "platform",
    params(("record" = String, Path, format = "uuid")), request_body = Opinion,
    responses((status = 200, body = RecordView), (status = "4XX", body = Problem)))]
pub async fn confirm_platform(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(record): Path<String>,
    Body(opinion): Body<Opinion>,
) -> Result<Json<RecordView>, Problem> {
    confirmed(&app, actor, None, parsed(&record)?, opinion).await
}

async fn added(
    app: &App,
    actor: Actor,
    tenant: Option<TenantId>,
    new: NewRecord,
) -> Result<(StatusCode, Json<RecordView>), Problem> {
    let engine = app.engine.clone();
    let record = whole(async move { engine.add_record(&actor, tenant, new).await }).await?;
    Ok((StatusCode::CREATED, Json(record.into())))
}

async fn listed(
    app: &App,
    actor: &Actor,
    tenant: Option<TenantId>,
) -> Result<Json<Vec<RecordView>>, Problem> {
    let records = app.engine.records(actor, tenant).await?;
    Ok(Json(records.into_iter().map(RecordView::from).collect()))
}

async fn confirmed(
    app: &App,
    actor: Actor,
    tenant: Option<TenantId>,
    record: RecordId,
    Opinion { agreed, opinion }: Opinion,
) -> Result<Json<RecordView>, Problem> {
    let engine = app.engine.clone();
    let said = async move { engine.confirm_record(&actor, tenant, record, agreed, &opinion).await };
    Ok(Json(whole(said).await?.into()))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::bad_request("invalid-id", error.to_string()))
}
