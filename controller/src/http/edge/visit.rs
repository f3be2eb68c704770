//! How long a connection may stay.
//!
//! ```text
//! stranger ──somebody was authenticated──▶ known
//!    │ 30 s with nothing under way, 90 s in any case    │ 5 minutes with nothing under way
//!    └──────────────────────▶ closed ◀──────────────────┘
//! ```

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::{core::lifecycle::Actor, places::Place};

/// How long a connection may stay on which nobody was authenticated.
const STRANGER_LIMIT: Duration = Duration::from_secs(30);
/// And with a request of it under way, such as one to come in.
const STRANGER_END: Duration = Duration::from_secs(90);
/// How long a connection may rest on which somebody was.
const REST_LIMIT: Duration = Duration::from_secs(5 * 60);

/// A connection, for as long as it lasts.
#[derive(Debug)]
pub struct Visit(Mutex<Standing>);

#[derive(Debug)]
struct Standing {
    began: Instant,
    known: bool,
    under_way: usize,
    rests_since: Instant,
    outside: Option<Place<()>>,
}

/// A request that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Visit>);

impl Visit {
    pub(super) fn new(outside: Option<Place<()>>) -> Self {
        let now = Instant::now();
        let standing =
            Standing { began: now, known: false, under_way: 0, rests_since: now, outside };
        Self(Mutex::new(standing))
    }

    /// This person was authenticated. Customers keep their place among those who are not the
    /// provider's, so that all of them together leave some for the provider.
    pub fn welcome(&self, actor: &Actor) {
        let mut standing = self.standing();
        standing.known = true;
        if actor.customer.is_none() {
            standing.outside = None;
        }
    }

    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.standing().under_way += 1;
        UnderWay(self.clone())
    }

    fn end(&self, now: Instant) {
        let mut standing = self.standing();
        standing.under_way = standing.under_way.saturating_sub(1);
        standing.rests_since = now;
    }

    /// Until when it may stay, as things are now.
    fn stays_until(&self, now: Instant) -> Instant {
        let standing = self.standing();
        match (standing.known, standing.under_way) {
            (true, 0) => standing.rests_since + REST_LIMIT,
            (true, _) => now + REST_LIMIT,
            (false, 0) => standing.began + STRANGER_LIMIT,
            (false, _) => standing.began + STRANGER_END,
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end(Instant::now());
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Stays {
    body: Body,
    _stays: UnderWay,
}

impl Stays {
    pub(super) fn new(body: Body, stays: UnderWay) -> Self {
        Self { body, _stays: stays }
    }
}

impl http_body::Body for Stays {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that breaks off once its visit is over.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    visit: Arc<Visit>,
    look_again: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, visit: Arc<Visit>) -> Self {
        let first = Instant::now() + STRANGER_LIMIT;
        Self { stream, visit, look_again: Box::pin(sleep_until(first)) }
    }

    /// Whether the visit is over; wakes when it may be.
    fn over(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.look_again.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let until = self.visit.stays_until(now);
            if until <= now {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the connection rested"));
            }
            // Sooner than that if it begins to rest meanwhile.
            self.look_again.as_mut().reset(until.min(now + STRANGER_LIMIT));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.over(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.over(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.over(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.over(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::lifecycle::Role,
        places::{Capacity, Places},
    };

    fn actor(name: &str, role: Role, customer: Option<&str>) -> Actor {
        Actor { name: name.to_owned(), role, customer: customer.map(str::to_owned) }
    }

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_stranger_stays_shortly_and_whoever_is_known_until_it_rests() {
        let outside = Places::new(Capacity { all: 1, each: 1 });
        let visit = Arc::new(Visit::new(outside.enter(()).ok()));
        let began = visit.standing().began;
        assert_eq!(visit.stays_until(began), began + STRANGER_LIMIT);
        let request = visit.begin();
        assert_eq!(visit.stays_until(began + STRANGER_END), began + STRANGER_END, "no longer");
        visit.welcome(&actor("zhang.wei", Role::Customer, Some("water bureau")));
        assert!(outside.enter(()).is_err(), "a customer keeps its place");
        visit.welcome(&actor("li.na", Role::Operator, None));
        assert!(outside.enter(()).is_ok(), "the provider's person gives it back");
        let late = began + 100 * REST_LIMIT;
        assert!(visit.stays_until(late) > late, "as long as something is under way");
        drop(request);
        let rests = visit.standing().rests_since;
        assert_eq!(visit.stays_until(rests + REST_LIMIT - MOMENT), rests + REST_LIMIT);
    }
}
