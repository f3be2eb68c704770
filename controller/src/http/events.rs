//! `GET /v1/events`: what was committed to the journal, as server-sent events, each with its number
//! in the journal as its id.
//!
//! ```text
//! after n (Last-Event-ID, or ?after=n, or the journal's end)
//!    └→ read the rows after n ──some──→ send them, n := the last one's number ─┐
//!         ↑   └──none──→ wait for a commit, at most POLL ──────────────────────┤
//!         └────────────────────────────────────────────────────────────────────┘
//! ```
//! It is read from the database by number, so nothing is left out and nothing comes twice, however
//! slow the reader and whichever controller wrote it; commits only wake it. A stream ends with what
//! its caller came in with (revoked, gone out, disabled: at once; expired: within [`POLL`]), after
//! [`STREAM_LIMIT`], and when the controller stops.

use std::{collections::VecDeque, convert::Infallible, str::FromStr, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::{
    App,
    extract::{Entrant, Parameters},
    problem::Problem,
};
use crate::{
    core::{
        access::Principal,
        lifecycle::{Actor, Role},
    },
    engine::{Page, row::JournalRecord},
    places::{Capacity, Place, Places},
};

/// Longest life of a stream; the caller comes again with `Last-Event-ID`.
const STREAM_LIMIT: Duration = Duration::from_secs(15 * 60);
/// A stream in which nothing happens says so this often, so that both sides see it live.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long it may take until what another controller has committed is seen.
const POLL: Duration = Duration::from_secs(5);
/// Most streams at once, and those of one caller among them.
const STREAMS: Capacity = Capacity { all: 256, each: 8 };
/// Rows read at once.
const BATCH: u32 = 100;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where a stream begins, and whether it goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Follow {
    /// Begin after the event of this number; 0 is the beginning. Without it, and without
    /// `Last-Event-ID`, the stream begins with what comes next.
    #[param(required = false, schema_with = number)]
    after: Option<Number>,
    /// `false`: end once everything that was committed has been sent.
    #[param(required = false, default = true)]
    #[serde(default = "yes")]
    follow: bool,
}

/// The number of an event: what the journal counts with.
#[derive(Debug, Clone, Copy)]
struct Number(u64);

/// An event as it is sent; `data` is a row of the tenant's journal.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "the shape of an event for the document; `event` writes it")]
pub struct JournalEvent {
    /// Its number in the journal: for `Last-Event-ID`.
    #[schema(pattern = "^[1-9][0-9]*$")]
    id: String,
    /// What happened, as in the journal's `kind`.
    event: String,
    /// The row, as JSON.
    data: String,
}

/// The streams that are open, by caller.
#[derive(Debug, Clone)]
pub struct Streams(Places<String>);

/// A stream between two events.
struct Tail {
    app: App,
    principal: Principal,
    /// Fires when what the caller came in with may have ended; and when that was last looked at.
    access: watch::Receiver<u64>,
    looked_at: Instant,
    customer: Option<String>,
    page: Page<u64>,
    read: VecDeque<JournalRecord>,
    follow: bool,
    wake: watch::Receiver<u64>,
    ends_at: Instant,
    _place: Place<String>,
}

impl FromStr for Number {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && i64::try_from(*number).is_ok());
        number.map(Self).ok_or("an event's id is a number, as this stream gives it")
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

fn number() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    number.minimum(Some(0)).maximum(Some(i64::MAX)).build().into()
}

const fn yes() -> bool {
    true
}

/// What happens to the tenants that the caller may see, as it is committed
#[utoipa::path(get, path = "/v1/events", tag = "tenants",
    params(Follow),
    responses((status = 200, body = JournalEvent, content_type = "text/event-stream",
        description = "Server-sent events: `id` is the number in the journal, `event` the kind, \
                       `data` the journal's row as JSON")))]
pub async fn events(
    State(app): State<App>,
    Entrant(principal): Entrant,
    Extension(streams): Extension<Streams>,
    headers: HeaderMap,
    Parameters(query): Parameters<Follow>,
) -> Result<Response, Problem> {
    let actor = &principal.actor;
    let place = streams.enter(actor)?;
    let mut access = app.engine.access_wake();
    // It may have ended since the gate: looked at once more.
    access.mark_changed();
    // Before the journal's end is read: what is committed after it wakes the stream.
    let wake = app.engine.events_wake();
    let after = match last_event_id(&headers)?.or(query.after) {
        Some(Number(after)) => after,
        None => app.engine.last_event().await?,
    };
    let tail = Tail {
        app,
        customer: actor.customer.clone().filter(|_| actor.role == Role::Customer),
        principal,
        access,
        looked_at: Instant::now(),
        page: Page { after: Some(after), limit: BATCH },
        read: VecDeque::new(),
        follow: query.follow,
        wake,
        ends_at: Instant::now() + STREAM_LIMIT,
        _place: place,
    };
    let events = stream::unfold(tail, async |mut tail| {
        let record = tail.next().await?;
        Some((Ok::<_, Infallible>(event(&record)), tail))
    });
    let alive = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

fn event(record: &JournalRecord) -> Event {
    // A record is JSON in the database already: it can be written as JSON again.
    let data = serde_json::to_string(record).unwrap_or_default();
    Event::default().id(record.seq.to_string()).event(&record.kind).data(data)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Number>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let number = value.to_str().unwrap_or("not text").trim().parse();
    number.map(Some).map_err(|wrong| Problem::bad_request("invalid-last-event-id", wrong))
}

impl Tail {
    /// The next event; nothing at the stream's end.
    async fn next(&mut self) -> Option<JournalRecord> {
        loop {
            if !self.is_in().await {
                return None;
            }
            if let Some(record) = self.read.pop_front() {
                self.page.after = Some(record.seq);
                return Some(record);
            }
            self.wake.borrow_and_update();
            let slice = self.app.engine.events(self.customer.as_deref(), &self.page).await;
            match slice {
                Ok(slice) => self.read.extend(slice.items),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "a stream of events broke off");
                    return None;
                }
            }
            if !self.read.is_empty() {
                continue;
            }
            if !self.follow {
                return None;
            }
            let mut stop = self.app.stop.clone();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return None,
                () = sleep_until(self.ends_at) => return None,
                changed = self.wake.changed() => changed.ok()?,
                // Seen by `is_in`: it stays a change until then.
                changed = self.access.changed() => {
                    changed.ok()?;
                    self.access.mark_changed();
                }
                () = sleep(POLL) => {}
            }
        }
    }
}

impl Tail {
    /// Whether what the caller came in with is in force; looked up only if something may have ended
    /// since, or for long was not.
    async fn is_in(&mut self) -> bool {
        let may_have_ended = self.access.has_changed().unwrap_or(true);
        if !may_have_ended && self.looked_at.elapsed() < POLL {
            return true;
        }
        self.access.borrow_and_update();
        self.looked_at = Instant::now();
        match self.app.engine.is_in(&self.principal).await {
            Ok(is_in) => is_in,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a stream of events broke off");
                false
            }
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self(Places::new(STREAMS))
    }
}

impl Streams {
    fn enter(&self, actor: &Actor) -> Result<Place<String>, Problem> {
        let customer = actor.customer.as_deref().unwrap_or_default();
        let caller = format!("{}\0{}\0{customer}", actor.role.as_str(), actor.name);
        self.0.enter(caller).map_err(|own| {
            let each = STREAMS.each;
            let detail = format!(
                "too many streams are open; you have {own} of at most {each}: close one, or come \
                 again later"
            );
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_a_limit_of_streams_and_gets_a_place_back_when_one_ends() {
        let streams = Streams::default();
        let actor = |name: &str| Actor { name: name.to_owned(), ..Actor::controller() };
        let mut open: Vec<Place<String>> =
            (0..STREAMS.each).map(|_| streams.enter(&actor("li")).expect("room")).collect();
        assert_eq!(streams.enter(&actor("li")).expect_err("full").status, 429);
        open.push(streams.enter(&actor("wu")).expect("another caller"));
        drop(open.remove(0));
        let _again = streams.enter(&actor("li")).expect("room again");
        drop(open);
        for caller in 0..STREAMS.all - 1 {
            std::mem::forget(streams.enter(&actor(&caller.to_string())).expect("room"));
        }
        assert_eq!(streams.enter(&actor("last")).expect_err("all taken").status, 429);
    }
}
