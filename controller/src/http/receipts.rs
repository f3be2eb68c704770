//! What a gateway of short messages says later of one, at the URL that the message took along.

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
};

use super::{App, problem::Problem, whole};

/// Say what became of a short message: for the site's gateway, at the URL that came with it
///
/// The query says it, in the words that the controller's configuration names. The answer is the
/// same whether the notice is delivered already, or was never known.
#[utoipa::path(get, path = "/v1/receipts/{token}", tag = "platform",
    params(("token" = String, Path)), responses((status = 204)), security(()))]
pub async fn take(
    State(app): State<App>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    let Some((receipts, notice)) = app.site.receipts.as_ref().zip(app.engine.receipt_of(&token))
    else {
        let detail = "receipts come to the URL that the message took along, whole: {receipt_url}";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no-such-receipt", detail));
    };
    let query = query.unwrap_or_default();
    let said = receipts.read(&query);
    let said = said.map_err(|detail| Problem::bad_request("unreadable-receipt", detail))?;
    let Some(delivered) = said else { return Ok(StatusCode::NO_CONTENT) };
    let engine = app.engine.clone();
    whole(async move { engine.gateway_received(notice, delivered, &query).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
