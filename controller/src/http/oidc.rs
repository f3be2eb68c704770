//! Coming in by an OpenID provider, and whose identities there open which account.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, time::Timestamp};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    App,
    access::{AccountView, SessionAnswer, secret},
    attempts::{Begun, Returned},
    change::Change,
    extract::{Body, Caller},
    problem::Problem,
    whole,
};
use crate::{
    core::{access::SignInRefusal, identity::Identity},
    engine::EngineError,
};

/// Where somebody wants to sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptRequest {
    /// The provider's name here; the only one's if left out.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 63)]
    provider: Option<String>,
    /// The port of 127.0.0.1 at which the caller waits for the browser (RFC 8252, section 7.3).
    #[schema(minimum = 1024, maximum = 65535)]
    redirect_port: u16,
}

/// An attempt to come in: its secret is shown once.
#[derive(Serialize, ToSchema)]
pub struct AttemptAnswer {
    /// The attempt's secret: to be given with what comes back from the provider.
    attempt_token: String,
    /// To be opened in a browser.
    authorization_url: String,
    /// Until when the attempt can be ended.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// What came back from the provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnRequest {
    /// The attempt's secret.
    attempt_token: String,
    /// The redirect's `state`.
    state: String,
    /// The redirect's `code`.
    code: String,
    /// The redirect's `iss`, if there is one.
    #[serde(default)]
    iss: Option<String>,
}

impl std::fmt::Debug for ReturnRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReturnRequest")
    }
}

/// An identity to be linked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// The provider's name here.
    #[schema(min_length = 1, max_length = 63)]
    provider: String,
    /// The person's `sub` there. It is told to whoever signs in there and is not linked yet.
    #[schema(min_length = 1, max_length = 255)]
    subject: String,
}

/// Begin to come in by an OpenID provider: where to sign in
#[utoipa::path(post, path = "/v1/oidc/attempts", tag = "access", request_body = AttemptRequest,
    responses((status = 201, body = AttemptAnswer)), security(()))]
pub async fn begin(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Body(form): Body<AttemptRequest>,
) -> Result<Response, Problem> {
    app.limits.entry(peer.ip())?;
    if form.redirect_port < 1024 {
        let detail = "`redirect_port` is a port that anybody may listen at: 1024 to 65535";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", detail));
    }
    let now = app.engine.clock().now();
    let begun = app.providers.begin(form.provider.as_deref(), form.redirect_port, now).await?;
    let Begun { attempt, url, until } = begun;
    let answer = AttemptAnswer {
        attempt_token: attempt.to_string(),
        authorization_url: url,
        expires_at: until,
    };
    Ok(secret(StatusCode::CREATED, answer))
}

/// Come in with what came back from the OpenID provider
#[utoipa::path(post, path = "/v1/oidc/sessions", tag = "access", request_body = ReturnRequest,
    responses((status = 201, body = SessionAnswer)), security(()))]
pub async fn finish(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Body(form): Body<ReturnRequest>,
) -> Result<Response, Problem> {
    app.limits.entry(peer.ip())?;
    let returned = Returned {
        attempt: Zeroizing::new(form.attempt_token),
        state: Zeroizing::new(form.state),
        code: Zeroizing::new(form.code),
        iss: form.iss,
    };
    let identity = app.providers.finish(returned, app.engine.clock().now()).await?;
    let engine = app.engine.clone();
    let who = identity.clone();
    let entered = whole(async move {
        match engine.enter_by(&who).await {
            Err(EngineError::SignIn(SignInRefusal::Unlinked)) => Ok(None),
            entered => entered.map(Some),
        }
    });
    match entered.await? {
        Some(session) => {
            app.engine.meet(&session.account.name, peer.ip()).await;
            app.limits.recognise([Digest::of(session.secret.as_bytes())]);
            Ok(secret(StatusCode::CREATED, SessionAnswer::from(session)))
        }
        // Whoever has proven an identity may know how it is written, and nothing of accounts.
        None => {
            let Identity { issuer, subject } = &identity;
            let detail = format!(
                "the subject {subject} of {issuer} opens no account here: ask an administrator to \
                 link it to yours, or, if it is linked, somebody of the role security to confirm \
                 that"
            );
            let code = SignInRefusal::Unlinked.as_str();
            Err(Problem::new(StatusCode::FORBIDDEN, code, detail))
        }
    }
}

/// Link an identity at an OpenID provider to an account, which opens nothing until a second person
/// confirms it
#[utoipa::path(post, path = "/v1/accounts/{name}/identities", tag = "access",
    request_body = LinkRequest, params(("name" = String, Path)),
    responses((status = 200, body = AccountView)))]
pub async fn link(
    State(app): State<App>,
    Path(name): Path<String>,
    change: Change<LinkRequest>,
) -> Result<Json<AccountView>, Problem> {
    let issuer = app.providers.issuer(&change.body.provider)?;
    let engine = app.engine.clone();
    let account = change
        .make(|call, LinkRequest { provider: _, subject }| async move {
            engine.link_identity(call, name, Identity { issuer, subject }).await
        })
        .await?;
    Ok(Json(account.into()))
}

/// Unlink an account's identity at an OpenID provider, and end the account's sessions
#[utoipa::path(delete, path = "/v1/accounts/{name}/identities/{provider}", tag = "access",
    params(("name" = String, Path), ("provider" = String, Path)),
    responses((status = 200, body = AccountView)))]
pub async fn unlink(
    State(app): State<App>,
    Path((name, provider)): Path<(String, String)>,
    Caller(actor): Caller,
) -> Result<Json<AccountView>, Problem> {
    let issuer = app.providers.issuer(&provider)?;
    let engine = app.engine.clone();
    let account = whole(async move { engine.unlink_identity(actor, name, issuer).await }).await?;
    Ok(Json(account.into()))
}
