//! What all acts on tenants have in common: every act is one event of the lifecycle, which decides.
//! What hosts carry out later is answered with 202 and the ids of its orders; all else is done, and
//! answered with the tenant.

use std::time::Duration;

use axum::{
    Json,
    http::{StatusCode, Uri},
};
use serde::Deserialize;
use tenure_protocol::{
    channel::destination::{self, DestinationError, DestinationPolicy},
    id::TenantId,
};
use tokio::{net::lookup_host, time::timeout};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    App, Site,
    change::Change,
    form,
    problem::Problem,
    tenants::{Shown, host_names},
    view::{Accepted, TenantView},
};
use crate::core::{
    lifecycle::{Decision, Event},
    tenant::{Bot, Contact, Designated, OrderKind, Tenant, Webhook},
};

/// How long the names of an application's channels may be looked up.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(3);

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

/// Channels lead where the site allows, and no other way, as far as that can be said now: names are
/// looked up again whenever something is sent.
pub(super) async fn check_destinations(app: &App, contacts: &[Contact]) -> Result<(), Problem> {
    let Site { destinations, bots, sms, .. } = &*app.site;
    let mut hosts = Vec::new();
    for (place, contact) in contacts.iter().enumerate() {
        let refused = |field: &str, error: &str| {
            let detail = format!("contact {:?}: {error}", contact.name);
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-application", detail)
                .with(format!("/contacts/{place}/{field}"), error.to_owned())
        };
        if let Some(Webhook { url, .. }) = &contact.webhook {
            destination::webhook(url, *destinations)
                .map_err(|error| refused("webhook/url", &error.to_string()))?;
            hosts.push((url.as_str(), "webhook/url", place));
        }
        if let Some(Bot { kind, url, .. }) = &contact.bot {
            let sites = bots.get(kind).map_or(&[][..], Vec::as_slice);
            destination::bot(*kind, url.reveal(), *destinations, sites)
                .map_err(|error| refused("bot/url", &error.to_string()))?;
            hosts.push((url.reveal(), "bot/url", place));
        }
        if contact.designated.contains(&Designated::Sms) && !sms {
            let error = "this site sends no short messages: designate another channel";
            return Err(refused("designated", error));
        }
    }
    // A name that is not found in time is no fault of its owner's.
    let looked_up = timeout(LOOK_UP_LIMIT, look_up(hosts, *destinations)).await;
    let Ok(Err((place, field, error))) = looked_up else { return Ok(()) };
    let detail = format!("contact {place}: its name leads to {error}");
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-application", detail)
        .with(format!("/contacts/{place}/{field}"), error.to_string()))
}

type Inward = (usize, &'static str, DestinationError);

/// Whether the names in these URLs lead to allowed addresses alone.
async fn look_up(
    urls: Vec<(&str, &'static str, usize)>,
    policy: DestinationPolicy,
) -> Result<(), Inward> {
    for (url, field, place) in urls {
        let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        let Some(host) = host.filter(|_| destination::address_in(url).is_none()) else { continue };
        let Ok(addresses) = lookup_host((host, 0)).await else { continue };
        for address in addresses {
            destination::address(address.ip(), policy).map_err(|error| (place, field, error))?;
        }
    }
    Ok(())
}
