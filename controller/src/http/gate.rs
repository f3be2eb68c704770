//! The way of every request to its handler: limits, who comes, what the policy says.
//!
//! A customer cannot find out that another's tenant exists: whether there is one is asked after the
//! role was checked, with the same questions to the database and the policy whatever the answer,
//! and a tenant that one may not see is answered as one that is not there.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Extension, RequestExt as _,
    extract::{ConnectInfo, MatchedPath, Path, Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::Next,
    response::Response,
};
use tenure_protocol::{
    digest::Digest,
    id::{OrderId, TenantId},
    time::Timestamp,
};

use super::{
    App,
    edge::Visit,
    extract::{Id, MAX_BODY_BYTES, body_bytes, require_json, throw_away, unauthenticated},
    policy::{Resource, Verdict},
    problem::Problem,
    route::{self, READ_ENTRIES, Route, Subject, TAKE_RECEIPT},
    seats::Seats,
    tls::Presented,
};
use crate::{acquainted::PROVIDER, core::access::Principal, engine::Owner};

/// Longest secret that is looked at.
const MAX_SECRET_BYTES: usize = 256;
/// Names of query parameters that carry secrets elsewhere.
const SECRETS: [&str; 7] =
    ["access_token", "token", "bearer", "authorization", "api_key", "password", "code"];

/// When a request's head was here; real clock.
#[derive(Debug, Clone, Copy)]
pub struct Received(pub Timestamp);

/// Lets a request through to its handler, with its principal, or answers it.
///
/// # Errors
/// The answer: 400 for a secret in the URL, 401 without a valid token, 403 if the policy says no,
/// 404 for a tenant that is not there for the caller, 405 for no such method, 429 for too often.
pub async fn enforce(
    State(app): State<App>,
    Extension(seats): Extension<Seats>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    request.extensions_mut().insert(Received(app.engine.clock().now()));
    match pass(&app, path.as_str(), &mut request).await {
        Ok(route) => {
            // Short bodies have been read then; long ones are read in the seat. A cut needs none.
            let request = read_in(request).await?;
            let waits = !route.is_cut();
            let _seat = match request.extensions().get::<Principal>().filter(|_| waits) {
                Some(principal) => seats.take(&principal.actor).await,
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
    let bytes = body_bytes(body).await?;
    Ok(Request::from_parts(parts, bytes.into()))
}

/// Reads what is left of a refused request.
pub(super) async fn read_out(request: Request) {
    throw_away(request.into_body().into_data_stream()).await;
}

/// The row of a request that may pass; its principal goes with it.
async fn pass(app: &App, path: &str, request: &mut Request) -> Result<&'static Route, Problem> {
    let route = route::find(request.method(), path)?;
    let peer = peer(request);
    // A gateway's parameters are called as it calls them, and are no secrets.
    if route.action != TAKE_RECEIPT {
        no_secret_in(request.uri())?;
    }
    let secret = shown(request);
    let is_cut = route.is_cut();
    let goes_first = is_cut && secret.is_some_and(|secret| app.limits.recognises(&secret));
    if !goes_first {
        app.limits.peer(peer)?;
    }
    if app.policy.is_open(route.action) {
        return Ok(route);
    }
    let allowed = admit(app, route, request).await;
    if let Err(problem) = &allowed
        && goes_first
    {
        // No longer in force, or not for this: the next time it is counted before it is looked up.
        if let (401 | 403, Some(secret)) = (problem.status, secret) {
            app.limits.disown(&secret);
        }
        app.limits.peer(peer)?;
    }
    let principal = allowed?;
    app.limits.recognise(secret);
    if let Some(visit) = request.extensions().get::<Arc<Visit>>() {
        visit.welcome(&principal.actor);
    }
    if !is_cut {
        let actor = &principal.actor;
        app.engine.meet(&actor.name, peer).await;
        if actor.customer.is_none() {
            app.engine.meet(&format!("{PROVIDER}{}", actor.name), peer).await;
        }
    }
    request.extensions_mut().insert(principal);
    Ok(route)
}

/// Who comes, if the policy lets them.
async fn admit(app: &App, route: &Route, request: &mut Request) -> Result<Principal, Problem> {
    let certificate = certificate(request);
    let principal = authenticate(app, request.headers(), certificate).await?;
    if !route.is_cut() {
        app.limits.identity(&principal.actor.name)?;
    }
    let action = match route.subject {
        Subject::Tile => {
            let tile = request.extract_parts::<Path<String>>().await;
            let hashes = tile.is_ok_and(|Path(tile)| route::is_of_hashes(&tile));
            if hashes { route.action } else { READ_ENTRIES }
        }
        Subject::Platform | Subject::Tenant | Subject::Order => route.action,
    };
    let own = principal.actor.customer.as_deref().unwrap_or_default();
    let (resource, what) = match route.subject {
        Subject::Platform | Subject::Tile => (Resource::Platform, None),
        Subject::Tenant => (Resource::Tenant { customer: own, draft: false }, Some("tenant")),
        Subject::Order => (Resource::Tenant { customer: own, draft: false }, Some("order")),
    };
    // Before anything is looked up: what the role and the scope may not do at all.
    match app.policy.decide(Some(&principal), action, resource) {
        Verdict::Permitted => {}
        Verdict::OutOfScope => return Err(out_of_scope(action)),
        Verdict::Denied => return Err(wrong_role(app, &principal, action, what.is_some())),
    }
    let Some(what) = what else { return Ok(principal) };
    let owner = match route.subject {
        Subject::Order => {
            let Id(id) = request.extract_parts::<Id<OrderId>>().await?;
            app.engine.owner_of_order(id).await?
        }
        Subject::Tenant | Subject::Platform | Subject::Tile => {
            let Id(id) = request.extract_parts::<Id<TenantId>>().await?;
            app.engine.owner_of(id).await?
        }
    };
    let is_there = owner.is_some();
    let Owner { customer, draft } = owner.unwrap_or_default();
    let resource = Resource::Tenant { customer: &customer, draft };
    let verdict = app.policy.decide(Some(&principal), action, resource);
    match (is_there, verdict) {
        (true, Verdict::Permitted) => Ok(principal),
        (true | false, _) => Err(Problem::not_found(what)),
    }
}

fn out_of_scope(action: &str) -> Problem {
    let detail = format!("this token is limited to groups of acts without {action}");
    Problem::new(StatusCode::FORBIDDEN, "out-of-scope", detail)
}

fn wrong_role(app: &App, principal: &Principal, action: &str, on_tenant: bool) -> Problem {
    let role = principal.actor.role.as_str();
    let roles = app.policy.roles_for(action, on_tenant).join(" or ");
    let detail = if action == READ_ENTRIES {
        format!(
            "a {role} may not read entries; customers read tiles of hashes (tile/<level>/…) and \
             get their own entries with the exit bundle"
        )
    } else {
        format!("a {role} may not do this; it takes {roles}")
    };
    Problem::new(StatusCode::FORBIDDEN, "wrong-role", detail)
}

/// From where a request comes.
fn peer(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip())
}

/// URLs stand in logs, histories and proxies: a secret in one is no secret any more.
fn no_secret_in(uri: &Uri) -> Result<(), Problem> {
    let names = uri.query().unwrap_or_default().split('&').filter_map(|pair| {
        let name = pair.split('=').next()?;
        SECRETS.into_iter().find(|secret| name.eq_ignore_ascii_case(secret))
    });
    match names.into_iter().next() {
        None => Ok(()),
        Some(name) => {
            let detail = format!(
                "{name} stands in the URL, which others can read: revoke that secret, and give the \
                 new one in a header (Authorization: Bearer …) or a body"
            );
            Err(Problem::bad_request("secret-in-url", detail))
        }
    }
}

/// The one bearer token or session that a request has.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim();
    let fits = !secret.is_empty() && secret.len() <= MAX_SECRET_BYTES;
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(secret)
}

/// The certificate that a request comes with: its connection's, if it says nothing of itself. A
/// wrong token is not made good by a certificate.
fn certificate(request: &Request) -> Option<Digest> {
    let Presented(sha256) = request.extensions().get::<Presented>().copied()?;
    let headers = request.headers();
    let says = headers.contains_key(header::AUTHORIZATION);
    (!says && Presented::counts(headers)).then_some(sha256)
}

/// Digest of what a request comes with, as tokens and sessions are kept by it.
fn shown(request: &Request) -> Option<Digest> {
    let secret = bearer(request.headers()).map(|secret| Digest::of(secret.as_bytes()));
    secret.or_else(|| certificate(request))
}

/// Who comes: by its token or session, or by its connection's certificate.
async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    certificate: Option<Digest>,
) -> Result<Principal, Problem> {
    if let Some(sha256) = certificate {
        let known = app.engine.principal_of_certificate(sha256).await?;
        return known.ok_or_else(unauthenticated);
    }
    let secret = bearer(headers).ok_or_else(unauthenticated)?;
    app.engine.principal_of(secret).await?.ok_or_else(unauthenticated)
}
