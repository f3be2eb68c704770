//! Alarms of hosts: what their agents found that was not as it should be.

use axum::{extract::State, response::Response};
use serde::Serialize;
use tenure_protocol::{
    id::{HostId, TenantId},
    time::Timestamp,
    wire::v1::{AlarmKind, Culprit},
};
use utoipa::ToSchema;

use super::{
    App,
    extract::Id,
    listing::{Listing, Paging},
    problem::Problem,
};
use crate::engine::row::AlarmRecord;

/// Something on a host that was not as it should be.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AlarmView {
    /// Its number among the host's own, which grows.
    pub sequence: u64,
    /// When it was found, by the host's clock.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// When it came in.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// `packet-filter` (somebody else changed a table of the agent's), `cut-not-in-force`, or
    /// `device-missing`.
    #[schema(value_type = String)]
    pub kind: AlarmKind,
    /// What it is about: a table, a tenant's mark, a device.
    pub subject: String,
    /// Whose, if it is about one tenant.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub tenant: Option<TenantId>,
    /// What was found.
    pub what: String,
    /// Who did it, if the host's kernel told.
    pub culprit: Option<CulpritView>,
    /// Whether all is again as it should be.
    pub repaired: bool,
    /// How many older alarms the host gave up, unheard, to keep this one.
    pub dropped: u64,
}

/// A process on a host.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CulpritView {
    /// Its process or thread id.
    pub pid: u32,
    /// Its name: whoever starts it chooses that.
    pub command: String,
}

impl From<AlarmRecord> for AlarmView {
    fn from(AlarmRecord { received_at, alarm }: AlarmRecord) -> Self {
        Self {
            sequence: alarm.sequence,
            at: alarm.at,
            received_at,
            kind: alarm.kind,
            subject: alarm.subject,
            tenant: alarm.tenant,
            what: alarm.what,
            culprit: alarm.culprit.map(|Culprit { pid, command }| CulpritView { pid, command }),
            repaired: alarm.repaired,
            dropped: alarm.dropped,
        }
    }
}

/// What a host found on itself that was not as it should be, oldest first
#[utoipa::path(get, path = "/v1/hosts/{id}/alarms", tag = "platform",
    params(("id" = String, Path, format = "uuid"), Paging),
    responses((status = 200, body = [AlarmView])))]
pub async fn list(
    State(app): State<App>,
    Id(host): Id<HostId>,
    listing: Listing<u64>,
) -> Result<Response, Problem> {
    let slice = app.engine.alarms(host, &listing.page).await?;
    Ok(listing.answer(slice, AlarmView::from))
}
