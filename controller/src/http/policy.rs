//! Who may call what: one table, deny by default. A route that is not in it cannot be called.

use axum::{
    Extension, RequestExt as _,
    extract::{MatchedPath, Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use tenure_protocol::digest::Digest;

use super::{
    App,
    extract::{Caller, MAX_BODY_BYTES, body_bytes, require_json, unauthenticated},
    problem::Problem,
    seats::Seats,
};
use crate::core::lifecycle::{Actor, Role};

/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 256;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everybody, without a token.
    Anyone,
    /// Whoever has one of these roles. Customers see what is theirs.
    Roles(&'static [Role]),
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The method; GET covers HEAD.
    pub verb: Verb,
    /// The route, as the router has it.
    pub path: &'static str,
    /// Who.
    pub who: Who,
}

/// The methods of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

const CUSTOMER: Who = Who::Roles(&[Role::Customer]);
const REVIEWER: Who = Who::Roles(&[Role::Reviewer]);
const OPERATOR: Who = Who::Roles(&[Role::Operator]);
const ADMINISTRATOR: Who = Who::Roles(&[Role::Administrator]);
const WIPE: Who = Who::Roles(&[Role::Operator, Role::Security]);
const SECURITY: Who = Who::Roles(&[Role::Security]);
const SECOND: Who = Who::Roles(&[Role::Reviewer, Role::Operator, Role::Security]);
const SERVICE: Who = Who::Roles(&[Role::Reviewer, Role::Operator]);
const GUARD: Who = Who::Roles(&[Role::Security, Role::Administrator]);
const WATCH: Who = Who::Roles(&[Role::Security, Role::Auditor, Role::Administrator]);
const CALENDAR: Who = Who::Roles(&[Role::Reviewer, Role::Administrator]);
const CLOCK: Who = Who::Roles(&[Role::Operator, Role::Administrator]);
const PROVIDER: Who = Who::Roles(&[
    Role::Reviewer,
    Role::Operator,
    Role::Security,
    Role::Auditor,
    Role::Administrator,
]);
const FILING: Who = Who::Roles(&[
    Role::Customer,
    Role::Reviewer,
    Role::Operator,
    Role::Security,
    Role::Administrator,
]);
const FILING_PLATFORM: Who =
    Who::Roles(&[Role::Reviewer, Role::Operator, Role::Security, Role::Administrator]);
const RECORDING: Who =
    Who::Roles(&[Role::Customer, Role::Reviewer, Role::Operator, Role::Security]);
const RECORDING_PLATFORM: Who = Who::Roles(&[Role::Operator, Role::Security]);
const ALL: Who = Who::Roles(&[
    Role::Customer,
    Role::Reviewer,
    Role::Operator,
    Role::Security,
    Role::Auditor,
    Role::Administrator,
]);

const fn get(path: &'static str, who: Who) -> Rule {
    Rule { verb: Verb::Get, path, who }
}

const fn post(path: &'static str, who: Who) -> Rule {
    Rule { verb: Verb::Post, path, who }
}

/// The table.
pub const TABLE: &[Rule] = &[
    get("/healthz", Who::Anyone),
    get("/openapi.json", Who::Anyone),
    post("/v1/applications", CUSTOMER),
    get("/v1/application-forms/{version}", ALL),
    get("/v1/tenants", ALL),
    get("/v1/events", ALL),
    get("/v1/tenants/{id}", ALL),
    get("/v1/tenants/{id}/journal", ALL),
    get("/v1/tenants/{id}/deadlines", ALL),
    get("/v1/tenants/{id}/orders", ALL),
    get("/v1/tenants/{id}/notices", ALL),
    get("/v1/tenants/{id}/evidence", ALL),
    get("/v1/tenants/{id}/bundle", ALL),
    get("/v1/tenants/{id}/attachments", ALL),
    post("/v1/tenants/{id}/attachments", FILING),
    get("/v1/tenants/{id}/attachments/{digest}", ALL),
    get("/v1/tenants/{id}/records", ALL),
    post("/v1/tenants/{id}/records", RECORDING),
    post("/v1/tenants/{id}/records/{record}/confirmations", FILING_PLATFORM),
    get("/v1/platform/deadlines", PROVIDER),
    get("/v1/platform/records", PROVIDER),
    post("/v1/platform/records", RECORDING_PLATFORM),
    post("/v1/platform/records/{record}/confirmations", FILING_PLATFORM),
    get("/v1/platform/attachments", PROVIDER),
    post("/v1/platform/attachments", FILING_PLATFORM),
    get("/v1/platform/attachments/{digest}", PROVIDER),
    post("/v1/tenants/{id}/deadlines/sign", ADMINISTRATOR),
    post("/v1/tenants/{id}/application", CUSTOMER),
    post("/v1/tenants/{id}/review", REVIEWER),
    post("/v1/tenants/{id}/configuration/retry", OPERATOR),
    post("/v1/tenants/{id}/deployment", CUSTOMER),
    post("/v1/tenants/{id}/reports", CUSTOMER),
    post("/v1/tenants/{id}/reports/review", REVIEWER),
    post("/v1/tenants/{id}/assessment", CUSTOMER),
    post("/v1/tenants/{id}/icp", CUSTOMER),
    post("/v1/tenants/{id}/cut", OPERATOR),
    post("/v1/tenants/{id}/cut/announcement", OPERATOR),
    post("/v1/tenants/{id}/cut/announcement/end", OPERATOR),
    post("/v1/tenants/{id}/restore", OPERATOR),
    post("/v1/tenants/{id}/offboarding", CUSTOMER),
    post("/v1/tenants/{id}/offboarding/review", REVIEWER),
    post("/v1/tenants/{id}/offboarding/confirm", CUSTOMER),
    post("/v1/tenants/{id}/wipe/approvals", WIPE),
    post("/v1/drafts", CUSTOMER),
    post("/v1/tenants/{id}/draft", CUSTOMER),
    post("/v1/tenants/{id}/draft/submission", CUSTOMER),
    post("/v1/tenants/{id}/withdrawal", CUSTOMER),
    post("/v1/tenants/{id}/review/suspension", REVIEWER),
    post("/v1/tenants/{id}/review/resumption", REVIEWER),
    post("/v1/tenants/{id}/trial/extension", CUSTOMER),
    post("/v1/tenants/{id}/trial/extension/decision", REVIEWER),
    post("/v1/tenants/{id}/reports/rectifications", CUSTOMER),
    post("/v1/tenants/{id}/icp/opening", REVIEWER),
    post("/v1/tenants/{id}/holds", SECURITY),
    post("/v1/tenants/{id}/holds/release", SECURITY),
    post("/v1/tenants/{id}/holds/countersignatures", SECOND),
    post("/v1/tenants/{id}/offboarding/waivers", SECOND),
    post("/v1/tenants/{id}/offboarding/service", SERVICE),
    get("/v1/orders/{id}", ALL),
    get("/v1/hosts", PROVIDER),
    post("/v1/hosts/tokens", ADMINISTRATOR),
    post("/v1/hosts/{id}/block", GUARD),
    post("/v1/hosts/{id}/unblock", GUARD),
    get("/v1/platform/journal", WATCH),
    post("/v1/tokens", ADMINISTRATOR),
    get("/v1/images", ALL),
    get("/v1/anchors", ALL),
    get("/v1/calendar", ALL),
    get("/v1/calendar/days", ALL),
    post("/v1/calendar/notices", CALENDAR),
    post("/v1/calendar/notices/{id}/enact", CALENDAR),
    post("/v1/calendar/notices/{id}/reject", CALENDAR),
    get("/v1/deadlines/preview", ALL),
    get("/v1/clock", ALL),
    post("/v1/demo/clock", CLOCK),
    get("/v1/ledger/checkpoint", ALL),
    get(TILE, ALL),
];

/// Route of the ledger's tiles. Those of entries hold the events of all tenants.
const TILE: &str = "/v1/ledger/tile/{*path}";

/// Lets a request through to its handler, with its caller, or answers it.
///
/// # Errors
/// The answer: 401 without a valid token, 403 if the role may not, 405 if no such method is there.
pub async fn enforce(
    State(app): State<App>,
    Extension(seats): Extension<Seats>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match admit(&app, path.as_str(), &mut request).await {
        Ok(()) => {
            // A slow body takes no seat.
            let request = read_in(request).await?;
            let _seat = match request.extensions().get::<Caller>() {
                Some(Caller(actor)) => seats.take(actor).await,
                None => None,
            };
            Ok(next.run(request).await)
        }
        Err(problem) => {
            read_out(request).await;
            Err(problem)
        }
    }
}

/// Reads a body before the handler looks at anything, be it JSON or as short as JSON may be: a
/// handler that refuses the request for its path or its head leaves no unread bytes then. Longer
/// ones are the handler's to read.
async fn read_in(request: Request) -> Result<Request, Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let short = length.is_some_and(|bytes| bytes <= MAX_BODY_BYTES);
    if !short && require_json(request.headers()).is_err() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let mut whole = Request::new(body);
    // The limit of bodies is among them.
    whole.extensions_mut().clone_from(&parts.extensions);
    let bytes = body_bytes(whole, &()).await?;
    Ok(Request::from_parts(parts, bytes.into()))
}

/// Reads what is left of a refused request, up to the limit of bodies: a connection that is closed
/// over unread bytes loses the answer on its way.
pub(super) async fn read_out(request: Request) {
    // Whether it can be read does not matter any more.
    let _ = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES).await;
}

/// Admits a request to its handler, with its caller.
async fn admit(app: &App, path: &str, request: &mut Request) -> Result<(), Problem> {
    let rule = find(request.method(), path)?;
    if let Who::Roles(roles) = rule.who {
        let actor = authenticate(app, request.headers()).await?;
        if !roles.contains(&actor.role) {
            let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            let takes = format!("it takes {}", names.join(" or "));
            return Err(wrong_role(actor.role, &takes));
        }
        if rule.path == TILE && actor.role == Role::Customer {
            let tile = request.extract_parts::<Path<String>>().await;
            if !tile.is_ok_and(|Path(tile)| is_for_customers(&tile)) {
                return Err(wrong_role(
                    actor.role,
                    "customers read tiles of hashes (tile/<level>/…) and get their own entries \
                     with the exit bundle",
                ));
            }
        }
        request.extensions_mut().insert(Caller(actor));
    }
    Ok(())
}

fn wrong_role(role: Role, sentence: &str) -> Problem {
    let detail = format!("a {}'s token may not do this; {sentence}", role.as_str());
    Problem::new(StatusCode::FORBIDDEN, "wrong-role", detail)
}

/// Whether customers may read this tile, by its path after percent-decoding: only what begins with
/// a level's number, so that no other spelling leads to the entries.
fn is_for_customers(tile: &str) -> bool {
    tile.split('/')
        .next()
        .is_some_and(|level| !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()))
}

fn find(method: &Method, path: &str) -> Result<&'static Rule, Problem> {
    let wanted = match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        _ => None,
    };
    TABLE
        .iter()
        .find(|rule| rule.path == path && Some(rule.verb) == wanted)
        .ok_or_else(method_not_allowed)
}

/// The answer to a method that a route does not have. The router adds `Allow`.
#[must_use]
pub fn method_not_allowed() -> Problem {
    let detail = "this path has no such method: see /openapi.json";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

/// Whose token it is. Tokens are random and looked up by their digest, so that no comparison of
/// secrets takes place whose time would tell something.
async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Actor, Problem> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN_BYTES)
        .ok_or_else(unauthenticated)?;
    let actor = app.engine.actor_of(Digest::of(token.as_bytes())).await?;
    actor.ok_or_else(unauthenticated)
}
