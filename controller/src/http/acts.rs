//! What all acts on tenants have in common: every act is one event of the lifecycle, which decides.
//! What hosts carry out later is answered with 202 and the ids of its orders; all else is done, and
//! answered with the tenant.

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use tenure_protocol::{channel::destination, id::TenantId};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    App,
    change::Change,
    form,
    problem::Problem,
    tenants::{Shown, host_names},
    view::{Accepted, TenantView},
};
use crate::core::{
    lifecycle::{Decision, Event},
    tenant::{Application, OrderKind, Tenant},
};

/// An opinion on an application, or on leaving.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The outcome.
    #[schema(schema_with = decisions)]
    pub(super) decision: Decision,
    /// Why.
    #[schema(schema_with = form::text)]
    pub(super) opinion: String,
}

/// A reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why.
    #[schema(schema_with = form::text)]
    pub(super) reason: String,
}

/// Nothing but the act itself: `{}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

fn decisions() -> RefOr<Schema> {
    form::words([Decision::Approve, Decision::Reject, Decision::Return])
}

/// Lets a tenant's event happen, if the caller may see the tenant.
async fn act<T>(
    app: &App,
    id: TenantId,
    change: Change<T>,
    event: impl FnOnce(T) -> Event,
) -> Result<Tenant, Problem> {
    let engine = app.engine.clone();
    change
        .make(|call, body| {
            let event = event(body);
            async move { engine.act(call, id, event).await }
        })
        .await
}

/// An act that is done with the answer.
pub(super) async fn done<T>(
    app: App,
    id: TenantId,
    change: Change<T>,
    event: impl FnOnce(T) -> Event,
) -> Result<Shown, Problem> {
    let tenant = act(&app, id, change, event).await?;
    let view = TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules());
    Ok(Shown(StatusCode::OK, view))
}

/// An act that hosts carry out later, by orders of this kind.
pub(super) async fn ordered<T>(
    app: App,
    id: TenantId,
    change: Change<T>,
    kind: OrderKind,
    event: impl FnOnce(T) -> Event,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let tenant = act(&app, id, change, event).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::of(&tenant, kind))))
}

/// Webhooks lead where the site allows, and no other way.
pub(super) fn check_destinations(app: &App, application: &Application) -> Result<(), Problem> {
    for (place, contact) in application.contacts.iter().enumerate() {
        let Some(webhook) = &contact.webhook else { continue };
        destination::webhook(&webhook.url, app.site.destinations).map_err(|error| {
            let detail = format!("contact {:?}: {error}", contact.name);
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-application", detail)
                .with(format!("/contacts/{place}/webhook/url"), error.to_string())
        })?;
    }
    Ok(())
}
