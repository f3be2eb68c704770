//! Alarms of hosts: what their agents found that was not as it should be.

use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};
use serde::{Deserialize, Serialize};
use tenure_protocol::{
    id::{HostId, TenantId},
    time::Timestamp,
    wire::v1::{AlarmKind, Culprit, Figures, Measure},
};
use utoipa::ToSchema;

use super::{
    App,
    change::Change,
    extract::Id,
    form,
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
    /// `packet-filter` (somebody else changed a table of the agent's), `cut-not-in-force`,
    /// `device-missing`; or an anomaly: `packet-flood`, `connection-flood`, `disk-saturation`,
    /// `cpu-steal`.
    #[schema(value_type = String)]
    pub kind: AlarmKind,
    /// What it is about: a table, a tenant's mark, a device, an instance, or the `host`.
    pub subject: String,
    /// Whose, if it is about one tenant.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub tenant: Option<TenantId>,
    /// What was found.
    pub what: String,
    /// Who did it, if the host's kernel told.
    pub culprit: Option<CulpritView>,
    /// Whether all is again as it should be; of an anomaly, whether it is over.
    pub repaired: bool,
    /// Whether it stands: it is not repaired, no later one is about the same, and no person ended
    /// it.
    pub standing: bool,
    /// How many older alarms the host gave up, unheard, to keep this one.
    pub dropped: u64,
    /// What was counted, of an anomaly.
    pub figures: Option<FiguresView>,
}

/// What was counted when an anomaly began or ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FiguresView {
    /// `packets-sent`, `packets-received`, `packets-unasked` (sent beyond those received),
    /// `connections-sent`, `connections-received`, `disk-bytes` or `steal-permille`; sent and
    /// received by the instance.
    #[schema(value_type = String)]
    pub measure: Measure,
    /// Its mean over the window: in a second, or in thousandths.
    pub rate: u64,
    /// The rate beyond which it is an anomaly.
    pub threshold: u64,
    /// How long it was watched for this, ms.
    pub window_ms: u64,
}

impl From<Figures> for FiguresView {
    fn from(Figures { measure, rate, threshold, window_ms }: Figures) -> Self {
        Self { measure, rate, threshold, window_ms }
    }
}

/// What became of an alarm.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmEnd {
    /// What was found and done, for the platform's journal.
    #[schema(schema_with = form::text)]
    reason: String,
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
    fn from(AlarmRecord { received_at, alarm, standing }: AlarmRecord) -> Self {
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
            standing,
            dropped: alarm.dropped,
            figures: alarm.figures.map(FiguresView::from),
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

/// End an alarm that stands: a person has looked; the host tells it again only if it changes
#[utoipa::path(post, path = "/v1/hosts/{id}/alarms/{sequence}/end", tag = "platform",
    params(("id" = String, Path, format = "uuid"), ("sequence" = u64, Path)),
    request_body = AlarmEnd, responses((status = 200, body = AlarmView)))]
pub async fn end(
    State(app): State<App>,
    Id(host): Id<HostId>,
    Path((_host, sequence)): Path<(String, String)>,
    change: Change<AlarmEnd>,
) -> Result<Json<AlarmView>, Problem> {
    let sequence: u64 = sequence.parse().map_err(|_| {
        let detail = format!("{sequence:?} is no number of an alarm: see the host's alarms");
        Problem::bad_request("invalid-id", detail)
    })?;
    let engine = app.engine.clone();
    let end = |call, AlarmEnd { reason }| async move {
        engine.end_alarm(call, host, sequence, reason).await
    };
    Ok(Json(AlarmView::from(change.make(end).await?)))
}
