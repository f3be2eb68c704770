//! Attachments: files up and down as streams. They are given out as they were handed in and never
//! looked into: always as a download, with the media type that was said, which no browser may
//! second-guess.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, id::TenantId, time::Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::{
    App,
    extract::{Caller, Id, Parameters},
    listing::{Listing, Paging},
    problem::Problem,
    seats::Seats,
    whole,
};
use crate::{
    core::{
        admission::NAME_LIMIT,
        attachment::{Attachment, Label, NAME_PATTERN},
        lifecycle::Actor,
    },
    engine::{Filed, UPLOADS},
};

/// Uploads at once of one customer, and of one of the provider's persons; further ones wait. All
/// together have [`crate::files`]' limit.
const UPLOADS_OF_EACH: usize = 2;

/// Uploads at once of all customers together: the rest of what is received at once is the
/// provider's.
const UPLOADS_OF_CUSTOMERS: usize = 5;
const _: () = assert!(UPLOADS_OF_CUSTOMERS < UPLOADS, "some are left");

/// Who uploads now.
#[derive(Debug, Clone)]
pub struct Uploads {
    each: Seats,
    customers: Arc<Semaphore>,
}

/// Leave to upload, until it is dropped.
struct Leave {
    _own: Option<OwnedSemaphorePermit>,
    _customers: Option<OwnedSemaphorePermit>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            each: Seats::new(UPLOADS_OF_EACH, UPLOADS_OF_EACH),
            customers: Arc::new(Semaphore::new(UPLOADS_OF_CUSTOMERS)),
        }
    }
}

impl Uploads {
    /// Waits for leave to upload: first for one's own, so that nobody holds up others meanwhile.
    async fn leave(&self, actor: &Actor) -> Leave {
        let own = self.each.take(actor).await;
        let customers = match actor.customer {
            Some(_) => self.customers.clone().acquire_owned().await.ok(),
            None => None,
        };
        Leave { _own: own, _customers: customers }
    }
}

/// What the file is called.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Named {
    /// Its name, 1 to 200 characters, without slashes.
    #[param(value_type = FileName, inline)]
    name: String,
}

/// How the document describes a file's name.
struct FileName;

impl PartialSchema for FileName {
    fn schema() -> RefOr<Schema> {
        let name = ObjectBuilder::new().schema_type(Type::String);
        let name = name.min_length(Some(1)).max_length(Some(NAME_LIMIT));
        name.pattern(Some(NAME_PATTERN)).build().into()
    }
}

impl ToSchema for FileName {}

/// A file that was handed in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AttachmentView {
    /// SHA-256 of its bytes: what documents refer to.
    #[schema(value_type = String)]
    pub sha256: Digest,
    /// SM3 of its bytes (GB/T 32905).
    pub sm3: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// What it was called.
    pub name: String,
    /// What it is, by the word of whoever handed it in.
    pub media_type: String,
    /// Who handed it in.
    pub filed_by: String,
    /// When; legal time.
    #[schema(value_type = String, format = DateTime)]
    pub filed_at: Timestamp,
}

impl From<Attachment> for AttachmentView {
    fn from(known: Attachment) -> Self {
        Self {
            sha256: known.sha256,
            sm3: known.sm3.to_string(),
            bytes: known.bytes,
            name: known.name,
            media_type: known.media_type,
            filed_by: known.filed_by,
            filed_at: known.filed_at,
        }
    }
}

/// Upload an attachment of a tenant; the body is the file itself, of at most 512 MiB
#[utoipa::path(post, path = "/v1/tenants/{id}/attachments", tag = "tenants",
    params(("id" = String, Path, format = "uuid"), Named),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = AttachmentView),
        (status = 200, body = AttachmentView, description = "The same bytes were filed before")))]
pub async fn upload(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(uploads): Extension<Uploads>,
    Id(id): Id<TenantId>,
    Parameters(named): Parameters<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let leave = uploads.leave(&actor).await;
    let upload = Upload { actor, owner: Some(id), named, leave };
    receive(&app, upload, &headers, body).await
}

/// A tenant's attachments, oldest first
#[utoipa::path(get, path = "/v1/tenants/{id}/attachments", tag = "tenants",
    params(("id" = String, Path, format = "uuid"), Paging),
    responses((status = 200, body = [AttachmentView])))]
pub async fn list(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    listed(&app, Some(id), &listing).await
}

/// One attachment's bytes, checked against its digests once more
#[utoipa::path(get, path = "/v1/tenants/{id}/attachments/{digest}", tag = "tenants",
    params(("id" = String, Path, format = "uuid"),
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")))]
pub async fn read(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    Path((_tenant, digest)): Path<(String, String)>,
) -> Result<Response, Problem> {
    download(&app, Some(id), &digest).await
}

/// Upload an attachment of the platform's own records
#[utoipa::path(post, path = "/v1/platform/attachments", tag = "platform", params(Named),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = AttachmentView),
        (status = 200, body = AttachmentView, description = "The same bytes were filed before")))]
pub async fn upload_platform(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(uploads): Extension<Uploads>,
    Parameters(named): Parameters<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let leave = uploads.leave(&actor).await;
    receive(&app, Upload { actor, owner: None, named, leave }, &headers, body).await
}

/// Attachments of the platform's own records, oldest first
#[utoipa::path(get, path = "/v1/platform/attachments", tag = "platform", params(Paging),
    responses((status = 200, body = [AttachmentView])))]
pub async fn list_platform(
    State(app): State<App>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    listed(&app, None, &listing).await
}

/// One attachment's bytes of the platform's own records
#[utoipa::path(get, path = "/v1/platform/attachments/{digest}", tag = "platform",
    params(("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")))]
pub async fn read_platform(
    State(app): State<App>,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    download(&app, None, &digest).await
}

/// Who uploads what, of whom.
struct Upload {
    actor: Actor,
    owner: Option<TenantId>,
    named: Named,
    leave: Leave,
}

async fn receive(
    app: &App,
    upload: Upload,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Upload { actor, owner, named, leave } = upload;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = text(header::CONTENT_TYPE).to_ascii_lowercase();
    let announced = text(header::CONTENT_LENGTH).parse().ok();
    let label = Label { name: named.name, media_type };
    let engine = app.engine.clone();
    let filed = whole(async move {
        let _leave = leave;
        let stream = body.into_data_stream();
        engine.attach(&actor, owner, label, announced, stream).await
    })
    .await?;
    let (status, known) = match filed {
        Filed::New(known) => (StatusCode::CREATED, known),
        Filed::Before(known) => (StatusCode::OK, known),
    };
    Ok((status, Json(AttachmentView::from(known))).into_response())
}

async fn listed(
    app: &App,
    owner: Option<TenantId>,
    listing: &Listing<u64>,
) -> Result<Response, Problem> {
    let slice = app.engine.attachments(owner, &listing.page).await?;
    Ok(listing.answer(slice, AttachmentView::from))
}

async fn download(app: &App, owner: Option<TenantId>, digest: &str) -> Result<Response, Problem> {
    let sha256: Digest =
        digest.parse().map_err(|error: tenure_protocol::digest::ParseDigestError| {
            Problem::bad_request("invalid-id", error.to_string())
        })?;
    let (known, content) = app.engine.attachment(owner, sha256).await?;
    let headers = [
        (header::CONTENT_TYPE, known.media_type),
        (header::CONTENT_LENGTH, known.bytes.to_string()),
        (header::CONTENT_DISPOSITION, disposition(&known.name)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(content)).into_response())
}

/// `attachment` with the name as RFC 8187 writes it, so that nothing in it can end the header.
fn disposition(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename*=UTF-8''{encoded}")
}
