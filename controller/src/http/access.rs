//! Who may come in: sessions of people, accounts, tokens, and what was done about them. Secrets are
//! answered once, in a body, and no cache may keep them.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, time::Timestamp};
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, RefOr, Schema},
};
use zeroize::Zeroizing;

use super::{
    App,
    acts::Nothing,
    change::Change,
    extract::{Body, Caller, Entrant, Id},
    form,
    listing::{Listing, Paging},
    problem::Problem,
    whole,
};
use crate::{
    core::{
        access::{Group, SESSION_IDLE_MS, Scope},
        identity::Identity,
        lifecycle::Role,
    },
    engine::{
        AccountRecord, Certificate, Entered, NewToken, Session, SignIn, Standing, TokenRecord,
        TotpRecord,
    },
};

/// What somebody comes in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// The account.
    name: String,
    /// Its password.
    password: String,
    /// A code of the authenticator, six digits. Each works once.
    #[serde(default)]
    code: Option<String>,
    /// The password from now on; needed with an initial password, or one older than 90 days. 12 to
    /// 128 characters of three kinds.
    #[serde(default)]
    new_password: Option<String>,
}

impl std::fmt::Debug for SignInRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignInRequest")
    }
}

/// A session: a secret that is shown once.
#[derive(Serialize, ToSchema)]
pub struct SessionAnswer {
    /// To be sent as a bearer token.
    token: String,
    /// Whose.
    name: String,
    /// The role.
    #[schema(value_type = String)]
    role: Role,
    /// The organisation.
    customer: Option<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// It ends earlier if it is not used for so long, ms.
    idle_ms: i64,
}

/// The second factor to be enrolled: secrets that are shown once.
#[derive(Serialize, ToSchema)]
pub struct EnrolmentAnswer {
    /// For an authenticator (RFC 6238: SHA-1, six digits, 30 s), base32.
    totp_secret: String,
    /// The same as URI, for a QR code.
    totp_uri: String,
}

/// Whose account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountRequest {
    /// The person's name: separation of duties goes by it. 1 to 63 of a-z, 0-9 and `. _ -`.
    #[schema(schema_with = form::person)]
    name: String,
    /// The role.
    #[schema(schema_with = roles)]
    role: Role,
    /// The organisation; customers only.
    #[serde(default)]
    customer: Option<String>,
}

/// A person's account.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    /// The person's name.
    name: String,
    /// The role.
    #[schema(value_type = String)]
    role: Role,
    /// The organisation.
    customer: Option<String>,
    /// `pending` until a second person confirms it, then `enabled`, or `disabled`.
    #[schema(value_type = String)]
    standing: Standing,
    /// `missing`, `offered` or `enrolled`.
    second_factor: &'static str,
    /// What the person is called at OpenID providers: whoever signs in there comes in here.
    identities: Vec<IdentityView>,
    /// Whether the password is still the initial one.
    initial: bool,
    /// When the password was set.
    #[schema(value_type = String, format = DateTime)]
    password_set_at: Timestamp,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it, or last reset or linked it.
    created_by: String,
    /// The second person, who confirmed it since.
    confirmed_by: Option<String>,
    /// When somebody last came in by it.
    #[schema(value_type = Option<String>, format = DateTime)]
    entered_at: Option<Timestamp>,
}

/// A person as an OpenID provider knows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityView {
    /// The provider's issuer.
    issuer: String,
    /// The person's `sub` there.
    subject: String,
}

impl From<Identity> for IdentityView {
    fn from(Identity { issuer, subject }: Identity) -> Self {
        Self { issuer, subject }
    }
}

/// An account with its initial password: a secret that is shown once.
#[derive(Serialize, ToSchema)]
pub struct AccountAnswer {
    /// The account.
    #[serde(flatten)]
    account: AccountView,
    /// To be exchanged for one's own within 7 days.
    initial_password: String,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The token's own name: a person's, or a script's. 1 to 63 of a-z, 0-9 and `. _ -`.
    #[schema(schema_with = form::person)]
    name: String,
    /// The person whose it is: separation of duties goes by it. `name` if left out.
    #[serde(default)]
    owner: Option<String>,
    /// The role.
    #[schema(schema_with = roles)]
    role: Role,
    /// The organisation; customers only.
    #[serde(default)]
    customer: Option<String>,
    /// Groups of acts that it is limited to: `read`, `apply`, `leave`, `review`, `configure`,
    /// `cut`, `wipe`, `hosts`, `access`, `clock`. All that the role may if left out.
    #[serde(default = "everything")]
    #[schema(schema_with = scopes)]
    scope: Scope,
    /// How long it lives, days, 1 to 366; 90 if left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 366)]
    days: Option<u32>,
    /// A client certificate (PEM), whose key takes a secret's place: no secret is made. The token
    /// ends with it at the latest. The controller takes certificates of `api.client_ca` alone.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 16384)]
    certificate: Option<String>,
}

/// The roles that people have.
fn roles() -> RefOr<Schema> {
    form::words([
        Role::Customer,
        Role::Reviewer,
        Role::Operator,
        Role::Security,
        Role::Auditor,
        Role::Administrator,
    ])
}

/// Groups of acts, at least one.
fn scopes() -> RefOr<Schema> {
    let groups = ArrayBuilder::new().items(form::words(Group::ALL.map(Group::as_str)));
    groups.min_items(Some(1)).build().into()
}

const fn everything() -> Scope {
    Scope::Everything
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Which.
    id: String,
    /// Its own name.
    name: String,
    /// The person whose it is.
    owner: String,
    /// The role.
    #[schema(value_type = String)]
    role: Role,
    /// The organisation.
    customer: Option<String>,
    /// Groups of acts that it is limited to.
    #[schema(value_type = Option<Vec<String>>)]
    scope: Scope,
    /// The client certificate that takes a secret's place.
    certificate: Option<CertificateView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it.
    created_by: String,
    /// The second person, who confirmed it. It opens nothing before that.
    confirmed_by: Option<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When it was ended early.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

/// A client certificate.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateView {
    /// SHA-256 of it (DER), hexadecimal.
    #[schema(value_type = String)]
    sha256: Digest,
    /// Whom it names.
    subject: String,
}

/// A token with its secret, which is shown once.
#[derive(Serialize, ToSchema)]
pub struct TokenAnswer {
    /// The token.
    #[serde(flatten)]
    view: TokenView,
    /// Its secret; none if it is a certificate.
    token: Option<String>,
}

impl From<Session> for SessionAnswer {
    fn from(session: Session) -> Self {
        Self {
            token: session.secret.to_string(),
            name: session.account.name,
            role: session.account.role,
            customer: session.account.customer,
            expires_at: session.expires_at,
            idle_ms: SESSION_IDLE_MS,
        }
    }
}

impl From<AccountRecord> for AccountView {
    fn from(account: AccountRecord) -> Self {
        Self {
            name: account.name,
            role: account.role,
            customer: account.customer,
            standing: account.standing,
            second_factor: match account.totp {
                TotpRecord::Missing => "missing",
                TotpRecord::Offered { .. } => "offered",
                TotpRecord::Enrolled { .. } => "enrolled",
            },
            identities: account.identities.into_iter().map(IdentityView::from).collect(),
            initial: account.password.initial,
            password_set_at: account.password.set_at,
            created_at: account.created_at,
            created_by: account.created_by,
            confirmed_by: account.confirmed_by,
            entered_at: account.entered_at,
        }
    }
}

impl From<TokenRecord> for TokenView {
    fn from(token: TokenRecord) -> Self {
        Self {
            id: token.id,
            name: token.grant.name,
            owner: token.owner,
            role: token.grant.role,
            customer: token.grant.customer,
            scope: token.grant.scope,
            certificate: token
                .grant
                .certificate
                .map(|Certificate { sha256, subject }| CertificateView { sha256, subject }),
            created_at: token.grant.created_at,
            created_by: token.grant.created_by,
            confirmed_by: token.confirmed_by,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            used_at: token.used_at,
        }
    }
}

/// A secret is answered once, and no cache may keep it.
pub(super) fn secret<T: Serialize>(status: StatusCode, answer: T) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// Come in by password and second factor; the first time, set a password and enrol
#[utoipa::path(post, path = "/v1/sessions", tag = "access", request_body = SignInRequest,
    responses((status = 201, body = SessionAnswer), (status = 202,
        description = "Put the second factor into an authenticator, and come again with a code",
        body = EnrolmentAnswer)), security(()))]
pub async fn sign_in(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Body(form): Body<SignInRequest>,
) -> Result<Response, Problem> {
    app.limits.attempt(&form.name, peer.ip(), app.engine.acquainted())?;
    let name = form.name.clone();
    let form = SignIn {
        name: form.name,
        password: Zeroizing::new(form.password),
        code: form.code.map(Zeroizing::new),
        new_password: form.new_password.map(Zeroizing::new),
    };
    let engine = app.engine.clone();
    match whole(async move { engine.sign_in(form).await }).await? {
        Entered::Enrol(enrolment) => Ok(secret(
            StatusCode::ACCEPTED,
            EnrolmentAnswer {
                totp_secret: enrolment.secret.to_string(),
                totp_uri: enrolment.uri.to_string(),
            },
        )),
        Entered::Session(session) => {
            app.engine.meet(&name, peer.ip()).await;
            app.limits.recognise([Digest::of(session.secret.as_bytes())]);
            Ok(secret(StatusCode::CREATED, SessionAnswer::from(session)))
        }
    }
}

/// Go out: end the session that the request came with
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "access",
    responses((status = 204)))]
pub async fn sign_out(
    State(app): State<App>,
    Entrant(principal): Entrant,
) -> Result<StatusCode, Problem> {
    let engine = app.engine.clone();
    whole(async move { engine.sign_out(principal).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All accounts, by name
#[utoipa::path(get, path = "/v1/accounts", tag = "access", params(Paging),
    responses((status = 200, body = [AccountView])))]
pub async fn accounts(
    State(app): State<App>,
    listing: Listing<String>,
) -> Result<Response, Problem> {
    let slice = app.engine.accounts(&listing.page).await?;
    Ok(listing.answer(slice, AccountView::from))
}

/// Make an account for a person; it opens nothing until a second person confirms it
#[utoipa::path(post, path = "/v1/accounts", tag = "access", request_body = AccountRequest,
    responses((status = 201, body = AccountAnswer)))]
pub async fn create_account(
    State(app): State<App>,
    change: Change<AccountRequest>,
) -> Result<Response, Problem> {
    let engine = app.engine.clone();
    let (account, initial) = change
        .make(|call, AccountRequest { name, role, customer }| async move {
            engine.create_account(call, name, role, customer).await
        })
        .await?;
    Ok(with_initial(StatusCode::CREATED, account, &initial))
}

/// End an account, its sessions and its person's tokens at once
///
/// A person who has tokens alone gets a disabled account.
#[utoipa::path(post, path = "/v1/accounts/{name}/disable", tag = "access", request_body = Nothing,
    params(("name" = String, Path)),
    responses((status = 200, body = AccountView)))]
pub async fn disable_account(
    State(app): State<App>,
    Path(name): Path<String>,
    change: Change<Nothing>,
) -> Result<Json<AccountView>, Problem> {
    let engine = app.engine.clone();
    let disable = |call, Nothing {}| async move { engine.disable_account(call, name).await };
    let account = change.make(disable).await?;
    Ok(Json(account.into()))
}

/// Give an account a new initial password and take its second factor away; it, even if it was
/// disabled, waits for a second person to confirm it
#[utoipa::path(post, path = "/v1/accounts/{name}/reset", tag = "access", request_body = Nothing,
    params(("name" = String, Path)),
    responses((status = 200, body = AccountAnswer)))]
pub async fn reset_account(
    State(app): State<App>,
    Path(name): Path<String>,
    change: Change<Nothing>,
) -> Result<Response, Problem> {
    let engine = app.engine.clone();
    let reset = |call, Nothing {}| async move { engine.reset_account(call, name).await };
    let (account, initial) = change.make(reset).await?;
    Ok(with_initial(StatusCode::OK, account, &initial))
}

fn with_initial(status: StatusCode, account: AccountRecord, initial: &str) -> Response {
    let initial_password = initial.to_owned();
    secret(status, AccountAnswer { account: account.into(), initial_password })
}

/// All tokens by owner, ended ones too, without their secrets
#[utoipa::path(get, path = "/v1/tokens", tag = "access", params(Paging),
    responses((status = 200, body = [TokenView])))]
pub async fn tokens(State(app): State<App>, listing: Listing<String>) -> Result<Response, Problem> {
    let slice = app.engine.tokens(&listing.page).await?;
    Ok(listing.answer(slice, TokenView::from))
}

/// Make a token for a person or a person's script, or register its client certificate as one; it
/// opens nothing until a second person confirms it
#[utoipa::path(post, path = "/v1/tokens", tag = "access", request_body = TokenRequest,
    responses((status = 201, body = TokenAnswer)))]
pub async fn create_token(
    State(app): State<App>,
    change: Change<TokenRequest>,
) -> Result<Response, Problem> {
    let engine = app.engine.clone();
    let (token, text) = change
        .make(|call, form| async move {
            let new = NewToken {
                owner: form.owner.unwrap_or_else(|| form.name.clone()),
                name: form.name,
                role: form.role,
                customer: form.customer,
                scope: form.scope,
                days: form.days,
            };
            match form.certificate {
                Some(pem) => Ok((engine.register_certificate(call, new, &pem).await?, None)),
                None => {
                    engine.create_token(call, new).await.map(|(token, text)| (token, Some(text)))
                }
            }
        })
        .await?;
    let answer = TokenAnswer { view: token.into(), token: text.map(|text| text.to_string()) };
    Ok(secret(StatusCode::CREATED, answer))
}

/// End a token at once
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "access", params(("id" = String, Path)),
    responses((status = 200, body = TokenView)))]
pub async fn revoke_token(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<String>,
) -> Result<Json<TokenView>, Problem> {
    let engine = app.engine.clone();
    let token = whole(async move { engine.revoke_token(actor, id).await }).await?;
    Ok(Json(token.into()))
}
