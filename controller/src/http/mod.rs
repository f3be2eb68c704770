//! The HTTP API. Its shape is the OpenAPI document ([`openapi`]); who may call what stands in one
//! [`policy`], which [`gate`] asks with the actions of [`route`]; how often, in [`limit`]; [`edge`]
//! is what stands before all of it. [`tenants`] are reads; [`applications`], [`trial`],
//! [`compliance`], [`groups`], [`contacts`], [`anomalies`], [`drills`], [`cutting`] ([`together`]:
//! of several
//! tenants), [`holds`], [`offboarding`] and [`leaving`], which have [`acts`] in common, are what
//! the lifecycle decides on; [`access`] is accounts, sessions and tokens, which a second person
//! confirms ([`confirmation`]); [`oidc`] is coming in by an OpenID provider ([`attempts`] and
//! [`provider`] speak with it), [`tls`] by a client certificate; [`deadline`] and [`calendar`] are
//! the law's days, [`duty`] is what needs a person now;
//! [`records`] and [`attachments`] are what people put on paper; [`receipts`] is what a gateway
//! says of short messages; [`platform`] is the rest; [`view`] and [`row`] are what is shown;
//! every error is a [`problem`].
//!
//! What every route of a kind has in common stands once: [`change`] is what changes come with
//! (versions, keys), [`listing`] is how lists are paged, [`conditional`] how reads are answered to
//! those who have the answer, [`events`] the stream of what happens, [`seats`] how many requests of
//! one caller are worked on at once.

pub mod access;
pub mod acts;
pub mod alarms;
pub mod anomalies;
pub mod applications;
pub mod attachments;
pub mod attempts;
pub mod calendar;
pub mod change;
pub mod checklist;
pub mod compliance;
pub mod conditional;
pub mod confirmation;
pub mod contacts;
mod content;
mod contract;
pub mod cutting;
pub mod deadline;
mod described;
pub mod drills;
pub mod duty;
pub mod edge;
pub mod events;
pub mod extract;
pub mod form;
pub mod gate;
pub mod groups;
pub mod holds;
pub mod leaving;
pub mod limit;
pub mod listing;
pub mod offboarding;
pub mod oidc;
pub mod openapi;
pub mod platform;
pub mod policy;
pub mod problem;
pub mod provider;
pub mod receipts;
pub mod records;
pub mod route;
pub mod row;
pub mod seats;
pub mod tenants;
pub mod tls;
pub mod together;
pub mod trial;
pub mod view;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post},
};

use tenure_delivery::sms::receipts::Receipts;
use tenure_protocol::channel::{BotKind, destination::DestinationPolicy};
use tokio::sync::watch;

use self::{
    attachments::Uploads, attempts::Providers, change::UnderWay, events::Streams,
    limit::CallLimits, policy::Policy, problem::Problem, seats::Seats,
};
use crate::engine::{Engine, EngineError, UPLOAD_LIMIT};

/// How long a request may take, from its head to the answer's.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// What handlers need.
#[derive(Debug, Clone)]
pub struct App {
    /// Decides and keeps.
    pub engine: Engine,
    /// What holds for the whole site.
    pub site: Arc<Site>,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// How often.
    pub limits: Arc<CallLimits>,
    /// By whom people come in besides.
    pub providers: Arc<Providers>,
    /// Turns true when the controller stops.
    pub stop: watch::Receiver<bool>,
}

/// What holds for the whole site.
#[derive(Debug)]
pub struct Site {
    /// Where notices may go.
    pub destinations: DestinationPolicy,
    /// Where bots may be, besides their vendors.
    pub bots: BTreeMap<BotKind, Vec<String>>,
    /// Whether it sends short messages.
    pub sms: bool,
    /// How what its gateway says later of them is read; nothing if it says nothing.
    pub receipts: Option<Receipts>,
    /// What stands in join tokens.
    pub joining: Joining,
    /// The public keys that verifiers need.
    pub anchors: serde_json::Value,
}

/// What stands in join tokens.
#[derive(Debug)]
pub struct Joining {
    /// `address:port` of the enrolment port as hosts reach it.
    pub enrolment_address: String,
    /// `address:port` of the command port as hosts reach it.
    pub command_address: String,
    /// DNS name in the controller's certificate.
    pub server_name: String,
    /// The root certificate, DER.
    pub root: Vec<u8>,
    /// The ledger's verifier key.
    pub ledger_key: String,
}

/// The routes below one tenant.
fn on_one_tenant() -> Router<App> {
    Router::new()
        .route("/draft", post(applications::save_draft))
        .route("/draft/submission", post(applications::submit_draft))
        .route("/withdrawal", post(applications::withdraw))
        .route("/review/suspension", post(applications::suspend))
        .route("/review/resumption", post(applications::resume))
        .route("/trial/extension", post(trial::extension))
        .route("/trial/extension/decision", post(trial::decide))
        .route("/reports/rectifications", post(trial::rectify))
        .route("/icp/confirmation", post(compliance::confirm_icp))
        .route("/icp/opening", post(compliance::open_icp))
        .route("/groups", get(groups::list).post(groups::set))
        .route("/groups/removal", post(groups::remove))
        .route("/contacts", post(contacts::set))
        .route("/contacts/acknowledgement", post(contacts::acknowledge))
        .route("/anomalies", get(anomalies::show))
        .route("/anomalies/thresholds", post(anomalies::set))
        .route("/anomalies/rule", post(anomalies::propose))
        .route("/anomalies/rule/confirmation", post(anomalies::confirm))
        .route("/anomalies/rule/withdrawal", post(anomalies::withdraw))
        .route("/canary", post(drills::propose))
        .route("/canary/confirmation", post(drills::confirm))
        .route("/canary/withdrawal", post(drills::withdraw))
        .route("/drill", post(drills::drill))
        .route("/drills", get(drills::show))
        .route("/holds", post(holds::place))
        .route("/holds/release", post(holds::release))
        .route("/holds/countersignatures", post(holds::countersign))
        .route("/offboarding/waivers", post(leaving::waive))
        .route("/offboarding/service", post(leaving::record_service))
        .route("/offboarding/countersignatures", post(leaving::countersign_service))
        .route("/", get(tenants::show))
        .route("/checklist", get(checklist::checklist))
        .route("/journal", get(tenants::journal))
        .route("/deadlines", get(deadline::deadlines))
        .route("/deadlines/sign", post(deadline::sign))
        .route("/orders", get(tenants::orders))
        .route("/notices", get(tenants::notices))
        .route("/evidence", get(tenants::evidence))
        .route("/bundle", get(tenants::bundle))
        .route("/attachments", get(attachments::list).post(attachments::upload))
        .route("/attachments/{digest}", get(attachments::read))
        .route("/records", get(records::list).post(records::add))
        .route("/records/{record}/confirmations", post(records::confirm))
        .route("/application", post(applications::resubmit))
        .route("/review", post(applications::review))
        .route("/configuration/retry", post(applications::retry))
        .route("/deployment", post(trial::deployment))
        .route("/reports", post(trial::reports))
        .route("/reports/review", post(trial::review_reports))
        .route("/assessment", post(compliance::assessment))
        .route("/icp", post(compliance::icp))
        .route("/cut", post(cutting::cut))
        .route("/cut/acknowledgement", post(cutting::acknowledge_cut))
        .route("/cut/acknowledgement/heard", post(cutting::record_acknowledgement))
        .route("/cut/announcement", post(cutting::announce_cut))
        .route("/cut/announcement/end", post(cutting::call_off_cut))
        .route("/restore", post(cutting::restore))
        .route("/offboarding", post(offboarding::offboarding))
        .route("/offboarding/review", post(offboarding::review_offboarding))
        .route("/offboarding/confirm", post(offboarding::confirm))
        .route("/wipe/approvals", post(offboarding::approve_wipe))
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(platform::health))
        .route("/openapi.json", get(openapi::document))
        .route("/v1/applications", post(applications::submit))
        .route("/v1/drafts", post(applications::draft))
        .route("/v1/application-forms/{version}", get(platform::application_form))
        .route("/v1/tenants", get(tenants::list))
        .nest("/v1/tenants/{id}", on_one_tenant())
        .merge(papers())
        .route("/v1/events", get(events::events))
        .route("/v1/orders/{id}", get(tenants::order))
        .route("/v1/cuts", post(together::cut))
        .route("/v1/restores", post(together::restore))
        .route("/v1/duty", get(duty::duty))
        .route("/v1/hosts", get(platform::hosts))
        .route("/v1/hosts/tokens", post(platform::join_token))
        .route("/v1/hosts/{id}/alarms", get(alarms::list))
        .route("/v1/hosts/{id}/block", post(platform::block))
        .route("/v1/hosts/{id}/unblock", post(platform::unblock))
        .route("/v1/hosts/{id}/alarms/{sequence}/end", post(alarms::end))
        .route("/v1/platform/journal", get(platform::journal))
        .route("/v1/sessions", post(access::sign_in))
        .route("/v1/sessions/current", delete(access::sign_out))
        .route("/v1/accounts", get(access::accounts).post(access::create_account))
        .route("/v1/accounts/{name}/confirm", post(confirmation::confirm_account))
        .route("/v1/accounts/{name}/disable", post(access::disable_account))
        .route("/v1/accounts/{name}/reset", post(access::reset_account))
        .route("/v1/accounts/{name}/identities", post(oidc::link))
        .route("/v1/accounts/{name}/identities/{provider}", delete(oidc::unlink))
        .route("/v1/oidc/attempts", post(oidc::begin))
        .route("/v1/oidc/sessions", post(oidc::finish))
        .route("/v1/tokens", get(access::tokens).post(access::create_token))
        .route("/v1/tokens/{id}/confirm", post(confirmation::confirm_token))
        .route("/v1/tokens/{id}", delete(access::revoke_token))
        .route("/v1/images", get(platform::images))
        .route("/v1/anchors", get(platform::anchors))
        .merge(days())
        .route("/v1/receipts/{token}", get(receipts::take))
        .route("/v1/clock", get(platform::clock))
        .route("/v1/demo/clock", post(platform::advance))
        .route("/v1/ledger/checkpoint", get(platform::checkpoint))
        .route("/v1/ledger/tile/{*path}", get(platform::tile))
        .route_layer(middleware::from_fn_with_state(app.clone(), gate::enforce))
        .method_not_allowed_fallback(async |request: Request| {
            gate::read_out(request).await;
            Problem::method_not_allowed()
        })
        .fallback(async |request: Request| {
            gate::read_out(request).await;
            let detail = "there is no such path: see /openapi.json";
            Problem::new(StatusCode::NOT_FOUND, "no-such-path", detail)
        })
        .layer(Extension(UnderWay::default()))
        .layer(Extension(Streams::default()))
        .layer(Extension(Seats::default()))
        .layer(Extension(Uploads::default()))
        .layer(middleware::from_fn(conditional::answer))
        .layer(middleware::from_fn(limit_time))
        .with_state(app)
}

/// The calendar, and deadlines that are no tenant's.
fn days() -> Router<App> {
    Router::new()
        .route("/v1/calendar", get(calendar::show))
        .route("/v1/calendar/days", get(calendar::days))
        .route("/v1/calendar/notices", post(calendar::propose))
        .route("/v1/calendar/notices/{id}/enact", post(calendar::enact))
        .route("/v1/calendar/notices/{id}/reject", post(calendar::reject))
        .route("/v1/deadlines/preview", get(deadline::preview))
        .route("/v1/platform/deadlines", get(deadline::platform))
}

/// What is on paper about the platform itself.
fn papers() -> Router<App> {
    Router::new()
        .route(
            "/v1/platform/attachments",
            get(attachments::list_platform).post(attachments::upload_platform),
        )
        .route("/v1/platform/attachments/{digest}", get(attachments::read_platform))
        .route("/v1/platform/records", get(records::list_platform).post(records::add_platform))
        .route("/v1/platform/records/{record}/confirmations", post(records::confirm_platform))
}

async fn limit_time(request: Request, next: Next) -> Result<Response, Problem> {
    let limit = if request.uri().path().ends_with("/attachments") {
        UPLOAD_LIMIT + REQUEST_LIMIT
    } else {
        REQUEST_LIMIT
    };
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        let detail = "the request took too long to arrive or to answer: send it again";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail)
    })
}

/// Runs a change to its end, even if the caller hangs up meanwhile: what is committed must also be
/// entered into the ledger, and wake those who wait for it.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::spawn(work).await {
        Ok(done) => done.map_err(Problem::from),
        Err(error) => {
            tracing::error!(%error, "a request broke off");
            let detail = "the controller broke off; nothing is known to be done: look first";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken-off", detail))
        }
    }
}
