//! The second person, without whom nobody comes in.

use axum::{
    Json,
    extract::{Path, State},
};

use super::{
    App,
    access::{AccountView, TokenView},
    acts::Nothing,
    change::Change,
    extract::Id,
    problem::Problem,
};

/// Confirm that an account, made, reset or linked by another, is of the person whose name it has
#[utoipa::path(post, path = "/v1/accounts/{name}/confirm", tag = "access", request_body = Nothing,
    params(("name" = String, Path)),
    responses((status = 200, body = AccountView)))]
pub async fn confirm_account(
    State(app): State<App>,
    Path(name): Path<String>,
    change: Change<Nothing>,
) -> Result<Json<AccountView>, Problem> {
    let engine = app.engine.clone();
    let confirm = |call, Nothing {}| async move { engine.confirm_account(call, name).await };
    let account = change.make(confirm).await?;
    Ok(Json(account.into()))
}

/// Confirm that a token, made by another, is for the person whose name it has
#[utoipa::path(post, path = "/v1/tokens/{id}/confirm", tag = "access", request_body = Nothing,
    params(("id" = String, Path)), responses((status = 200, body = TokenView)))]
pub async fn confirm_token(
    State(app): State<App>,
    Id(id): Id<String>,
    change: Change<Nothing>,
) -> Result<Json<TokenView>, Problem> {
    let engine = app.engine.clone();
    let confirm = |call, Nothing {}| async move { engine.confirm_token(call, id).await };
    let token = change.make(confirm).await?;
    // From now on it is in force, and its cuts go first.
    app.limits.recognise(app.engine.live_secrets().await?);
    Ok(Json(token.into()))
}
