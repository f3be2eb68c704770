//! What an application has of what its form asks for, for whoever reviews or writes it.

use axum::{Json, extract::State};
use serde::Serialize;
use tenure_protocol::id::TenantId;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{App, extract::Id, form, problem::Problem};
use crate::core::form::checklist::{Item, ItemState};

/// One thing that the application form asks for.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChecklistItemView {
    /// Where it stands: a JSON pointer (RFC 6901) into the application.
    pointer: String,
    /// What the form calls it.
    title: String,
    /// Whether an application has to have it.
    required: bool,
    /// `given`, `left-out`, `absent` or `wrong`.
    #[schema(schema_with = states)]
    state: ItemState,
}

fn states() -> RefOr<Schema> {
    form::words(ItemState::ALL)
}

/// The checklist of an application, by the form that it was made on (clauses 4.1 and 4.2): nothing
/// with something missing or wrong in it is approved
#[utoipa::path(get, path = "/v1/tenants/{id}/checklist", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [ChecklistItemView])))]
pub async fn checklist(
    State(app): State<App>,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<ChecklistItemView>>, Problem> {
    let tenant = app.engine.tenant(id).await?;
    let view = |item: Item| {
        let Item { pointer, title, required, state } = item;
        ChecklistItemView { pointer, title, required, state }
    };
    let items = app.engine.forms().checklist(&app.engine.opened(&tenant.application)?);
    Ok(Json(items.into_iter().map(view).collect()))
}
