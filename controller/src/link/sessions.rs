//! The live sessions, one per host.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use quinn::{Connection, VarInt};
use tenure_protocol::id::HostId;

/// Why the controller closes a connection: application error codes of the link, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The certificate names no host, or one that is not known.
    UnknownHost,
    /// A newer session of the same host took over.
    Replaced,
    /// The certificate ended: join again.
    Expired,
    /// The peer broke the protocol.
    Protocol,
    /// The controller could not make something durable: connect again.
    Failure,
    /// The controller stops: connect again.
    Stopping,
    /// An enrolment is over.
    Enrolled,
    /// The host is blocked.
    Blocked,
    /// The host sends more than it may.
    OverLimit,
}

impl Closing {
    /// The code and the sentence on the wire.
    #[must_use]
    pub const fn wire(self) -> (u32, &'static str) {
        match self {
            Self::UnknownHost => (1, "this host is not known here: enrol it"),
            Self::Replaced => (2, "a newer session of this host took over"),
            Self::Expired => (3, "the certificate has expired: ask for the next with the host key"),
            Self::Protocol => (4, "the protocol was broken"),
            Self::Failure => (5, "the controller failed: connect again"),
            Self::Stopping => (6, "the controller stops: connect again"),
            Self::Enrolled => (7, "the enrolment is over"),
            Self::Blocked => (8, "this host is blocked: an administrator may unblock it"),
            Self::OverLimit => (9, "over the limit of what one host may send"),
        }
    }

    /// Closes a connection for this reason.
    pub fn close(self, connection: &Connection) {
        self.close_saying(connection, self.wire().1);
    }

    /// Closes a connection for this reason, in other words.
    pub fn close_saying(self, connection: &Connection, reason: &str) {
        connection.close(VarInt::from_u32(self.wire().0), reason.as_bytes());
    }
}

/// Which session of a host this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat(u64);

/// The live sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    last: u64,
    live: HashMap<HostId, (Seat, Connection)>,
}

impl Sessions {
    /// Seats a session; an older one of the same host is closed.
    #[must_use]
    pub fn admit(&self, host: HostId, connection: Connection) -> Seat {
        let mut seats = self.seats();
        seats.last += 1;
        let seat = Seat(seats.last);
        if let Some((_, older)) = seats.live.insert(host, (seat, connection)) {
            tracing::info!(%host, "a newer session replaces an older one");
            Closing::Replaced.close(&older);
        }
        seat
    }

    /// Ends a session; whether the host has none now.
    #[must_use]
    pub fn leave(&self, host: HostId, seat: Seat) -> bool {
        let mut seats = self.seats();
        let is_last = seats.live.get(&host).is_some_and(|(live, _)| *live == seat);
        if is_last {
            seats.live.remove(&host);
        }
        is_last
    }

    /// How many hosts are up.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seats().live.len()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
