//! The platform itself: hosts, images, anchors, clock, ledger.

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::{civil::Date, tz};
use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, id::HostId, time::Timestamp, wire::join::JoinToken};
use utoipa::ToSchema;

use super::{
    App,
    access::secret,
    change::Change,
    extract::Id,
    form,
    listing::{Listing, Paging},
    problem::Problem,
    row::HostView,
};
use crate::{core::fleet::Image, engine::row::PlatformRecord};

/// Which host is to join.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The host's name.
    #[schema(schema_with = form::host_name)]
    host_name: String,
}

/// Why a host is blocked, or let in again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// Why: it stands in the journal, and beside the host.
    #[schema(schema_with = form::text)]
    reason: String,
}

/// A join token: a secret that works once.
#[derive(Serialize, ToSchema)]
pub struct JoinAnswer {
    /// The host that it is for.
    host_name: String,
    /// The token.
    token: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// An image of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageView {
    /// Its name in applications.
    name: String,
    /// Digest of the kernel.
    #[schema(value_type = String)]
    kernel: Digest,
    /// Digest of the initial RAM file system.
    #[schema(value_type = String)]
    initrd: Digest,
    /// The kernel's command line.
    cmdline: String,
}

/// Both clocks.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockView {
    /// Real time.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    /// Legal time, in which the lifecycle lives.
    #[schema(value_type = String, format = DateTime)]
    legal: Timestamp,
    /// The legal day (Asia/Shanghai).
    #[schema(value_type = String, format = Date)]
    today: Date,
    /// How far legal time is ahead of real time, ms.
    offset_ms: i64,
    /// Whether this is a demo, whose legal time can be moved.
    demo: bool,
}

/// How far to move the demo clock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    /// Days, 1 to 3660.
    #[schema(minimum = 1, maximum = 3660)]
    advance_days: u32,
}

/// Whether the controller answers
#[utoipa::path(get, path = "/healthz", tag = "platform",
    responses((status = 200, body = String)))]
pub async fn health() -> &'static str {
    "ok\n"
}

/// All hosts, by name
#[utoipa::path(get, path = "/v1/hosts", tag = "platform", params(Paging),
    responses((status = 200, body = [HostView])))]
pub async fn hosts(State(app): State<App>, listing: Listing<String>) -> Result<Response, Problem> {
    let slice = app.engine.hosts_page(&listing.page).await?;
    Ok(listing.answer(slice, HostView::from))
}

/// Block a host: its session ends at once, it gets no orders, and nothing that it says is believed
#[utoipa::path(post, path = "/v1/hosts/{id}/block", tag = "platform", request_body = BlockRequest,
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = HostView)))]
pub async fn block(
    State(app): State<App>,
    Id(host): Id<HostId>,
    change: Change<BlockRequest>,
) -> Result<Json<HostView>, Problem> {
    let engine = app.engine.clone();
    let block =
        |call, BlockRequest { reason }| async move { engine.block_host(call, host, reason).await };
    Ok(Json(HostView::from(change.make(block).await?)))
}

/// Let a blocked host in again
#[utoipa::path(post, path = "/v1/hosts/{id}/unblock", tag = "platform",
    request_body = BlockRequest, params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = HostView)))]
pub async fn unblock(
    State(app): State<App>,
    Id(host): Id<HostId>,
    change: Change<BlockRequest>,
) -> Result<Json<HostView>, Problem> {
    let engine = app.engine.clone();
    let unblock = |call, BlockRequest { reason }| async move {
        engine.unblock_host(call, host, reason).await
    };
    Ok(Json(HostView::from(change.make(unblock).await?)))
}

/// What happened to the platform itself: joins, blocks, accounts, sessions, tokens, notices of the
/// calendar; the newest first
#[utoipa::path(get, path = "/v1/platform/journal", tag = "platform",
    responses((status = 200, body = [Object])))]
pub async fn journal(State(app): State<App>) -> Result<Json<Vec<PlatformRecord>>, Problem> {
    Ok(Json(app.engine.platform_acts().await?))
}

/// Make a join token for a new host
#[utoipa::path(post, path = "/v1/hosts/tokens", tag = "platform", request_body = JoinRequest,
    responses((status = 201, body = JoinAnswer)))]
pub async fn join_token(
    State(app): State<App>,
    change: Change<JoinRequest>,
) -> Result<Response, Problem> {
    let engine = app.engine.clone();
    let grant = change
        .make(|call, JoinRequest { host_name }| async move {
            engine.create_join_token(call, host_name).await
        })
        .await?;
    let joining = &app.site.joining;
    let token = JoinToken {
        secret: grant.secret,
        host_name: grant.host_name.clone(),
        enrol_address: joining.enrolment_address.clone(),
        command_address: joining.command_address.clone(),
        server_name: joining.server_name.clone(),
        ca: Digest::of(&joining.root),
        ca_der: joining.root.clone(),
        order_key: app.engine.keys().order.verifying_key().to_bytes(),
        ledger_key: joining.ledger_key.clone(),
        expires_at: grant.expires_at,
    };
    let answer = JoinAnswer {
        host_name: grant.host_name,
        token: token.reveal(),
        expires_at: grant.expires_at,
    };
    Ok(secret(StatusCode::CREATED, answer))
}

/// The image catalogue
#[utoipa::path(get, path = "/v1/images", tag = "platform",
    responses((status = 200, body = [ImageView])))]
pub async fn images(State(app): State<App>) -> Json<Vec<ImageView>> {
    let view = |image: &Image| ImageView {
        name: image.name.clone(),
        kernel: image.kernel,
        initrd: image.initrd,
        cmdline: image.cmdline.clone(),
    };
    Json(app.engine.images().iter().map(view).collect())
}

/// A version of the application form: a JSON schema (draft 2020-12) for the whole application
#[utoipa::path(get, path = "/v1/application-forms/{version}", tag = "customer",
    params(("version" = String, Path, description = "`current`, or a version")),
    responses((status = 200, body = Object, content_type = "application/schema+json")))]
pub async fn application_form(
    State(app): State<App>,
    Path(version): Path<String>,
) -> Result<Response, Problem> {
    let forms = app.engine.forms();
    let version = if version == "current" { forms.version() } else { version.as_str() };
    let form = forms.get(version).ok_or_else(|| {
        let detail = format!(
            "there is no application form of this version: applications take {:?}",
            forms.version()
        );
        Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
    })?;
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], form.to_string()).into_response())
}

/// The public keys that verifiers of evidence need; compare them with a copy from another source
#[utoipa::path(get, path = "/v1/anchors", tag = "platform",
    responses((status = 200, body = Object)))]
pub async fn anchors(State(app): State<App>) -> Json<serde_json::Value> {
    Json(app.site.anchors.clone())
}

/// Real and legal time
#[utoipa::path(get, path = "/v1/clock", tag = "platform",
    responses((status = 200, body = ClockView)))]
pub async fn clock(State(app): State<App>) -> Json<ClockView> {
    Json(clock_view(&app))
}

/// Move the demo clock forward; only with --demo-clock
#[utoipa::path(post, path = "/v1/demo/clock", tag = "platform", request_body = Advance,
    responses((status = 200, body = ClockView)))]
pub async fn advance(
    State(app): State<App>,
    change: Change<Advance>,
) -> Result<Json<ClockView>, Problem> {
    let engine = app.engine.clone();
    change
        .make(|call, Advance { advance_days }| async move {
            engine.advance_clock(call, advance_days).await
        })
        .await?;
    Ok(Json(clock_view(&app)))
}

fn clock_view(app: &App) -> ClockView {
    let clock = app.engine.clock();
    let now = clock.now();
    let legal = clock.legal(now);
    ClockView {
        now,
        legal,
        today: civil_day(legal),
        offset_ms: clock.offset_ms(),
        demo: clock.is_demo(),
    }
}

/// Asia/Shanghai has been UTC+8 without summer time since 1991.
fn civil_day(at: Timestamp) -> Date {
    let instant = jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap_or_default();
    instant.to_zoned(tz::TimeZone::fixed(tz::offset(8))).date()
}

/// The ledger's signed checkpoint (C2SP tlog-checkpoint)
#[utoipa::path(get, path = "/v1/ledger/checkpoint", tag = "ledger",
    responses((status = 200, body = String)))]
pub async fn checkpoint(State(app): State<App>) -> Result<Response, Problem> {
    let note = app.engine.ledger_checkpoint().await?;
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, note).into_response())
}

/// A tile of the ledger (C2SP tlog-tiles)
#[utoipa::path(get, path = "/v1/ledger/tile/{path}", tag = "ledger",
    params(("path" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")))]
pub async fn tile(State(app): State<App>, Path(path): Path<String>) -> Result<Response, Problem> {
    let bytes = app.engine.ledger_tile(path).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}
