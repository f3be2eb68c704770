//! Alarms of hosts: what an agent found that is not as it should be, and the anomalies in what it
//! counts. A part of [`super::v1`], under its rules.
//!
//! An alarm can have a tenant cut, and one that says `repaired` ends another; so it is believed by
//! the host key's signature alone, over its own bytes with its host's id. Who owns a host's network
//! side can hold alarms back, as it can the link, and say each once more, which changes nothing.

use serde::{Deserialize, Serialize};

use super::watch::{Said, Signed};
use crate::{
    id::{HostId, TenantId},
    time::Timestamp,
};

/// Thousandths that are the whole of a share.
pub const WHOLE_PERMILLE: u64 = 1_000;

/// From when on what is counted is an anomaly: beyond these rates, none of which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Thresholds {
    /// Packets of one network card in one direction, in a second.
    pub packets_per_s: u64,
    /// TCP connections that one network card begins, or is asked for, in a second.
    pub connections_per_s: u64,
    /// Bytes that one instance reads from its volumes and writes to them, in a second.
    pub disk_bytes_per_s: u64,
    /// Thousandths of its processors' time that the host itself does not get; [`WHOLE_PERMILLE`] at
    /// most.
    pub steal_permille: u64,
}

impl Thresholds {
    /// The one of a measure.
    #[must_use]
    pub const fn of(&self, measure: Measure) -> u64 {
        match measure {
            Measure::PacketsSent | Measure::PacketsReceived | Measure::PacketsUnasked => {
                self.packets_per_s
            }
            Measure::ConnectionsSent | Measure::ConnectionsReceived => self.connections_per_s,
            Measure::DiskBytes => self.disk_bytes_per_s,
            Measure::StealPermille => self.steal_permille,
        }
    }
}

/// Something on a host that is not as it should be, found by its agent. It is said again until it
/// is received, so the controller may hear it more than once: by host and `sequence` it is the
/// same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Per host, never used again.
    pub sequence: u64,
    /// When it was found, by the host's clock.
    pub at: Timestamp,
    /// What kind of thing it is.
    pub kind: AlarmKind,
    /// What it is about: a table (`bridge tenure`), a tenant's mark (`0x101`), a device, an
    /// instance, or the `host`.
    pub subject: String,
    /// Whose, if it is about one tenant.
    pub tenant: Option<TenantId>,
    /// What was found, for people.
    pub what: String,
    /// Who did it, if the kernel told.
    pub culprit: Option<Culprit>,
    /// Whether all is again as it should be.
    pub repaired: bool,
    /// How many older alarms the host gave up, unheard, to keep this one.
    pub dropped: u64,
    /// What was counted, of an anomaly: `repaired` says then that it is over.
    #[serde(default)]
    pub figures: Option<Figures>,
}

/// What was counted when an anomaly began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// What.
    pub measure: Measure,
    /// Its mean over the window: in a second, or in thousandths.
    pub rate: u64,
    /// The rate beyond which it is an anomaly.
    pub threshold: u64,
    /// How long it was watched for this, ms.
    pub window_ms: u64,
}

/// What is counted. `sent` and `received` are the instance's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Frames that an instance sends, whether they pass or not.
    PacketsSent,
    /// Frames that it is given.
    PacketsReceived,
    /// TCP connections that it begins, whether they pass or not.
    ConnectionsSent,
    /// TCP connections that it is asked for, whether they pass or not.
    ConnectionsReceived,
    /// Bytes that it reads from its volumes and writes to them.
    DiskBytes,
    /// Thousandths of its processors' time that the host does not get.
    StealPermille,
    /// Frames that an instance sends beyond those that it is given in the same time: answers, one
    /// for each question, are none of them.
    PacketsUnasked,
}

impl Measure {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::PacketsSent,
        Self::PacketsReceived,
        Self::ConnectionsSent,
        Self::ConnectionsReceived,
        Self::DiskBytes,
        Self::StealPermille,
        Self::PacketsUnasked,
    ];

    /// The kind of alarm that it raises.
    #[must_use]
    pub const fn kind(self) -> AlarmKind {
        match self {
            Self::PacketsSent | Self::PacketsReceived | Self::PacketsUnasked => {
                AlarmKind::PacketFlood
            }
            Self::ConnectionsSent | Self::ConnectionsReceived => AlarmKind::ConnectionFlood,
            Self::DiskBytes => AlarmKind::DiskSaturation,
            Self::StealPermille => AlarmKind::CpuSteal,
        }
    }

    /// The stable text, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PacketsSent => "packets-sent",
            Self::PacketsReceived => "packets-received",
            Self::ConnectionsSent => "connections-sent",
            Self::ConnectionsReceived => "connections-received",
            Self::DiskBytes => "disk-bytes",
            Self::StealPermille => "steal-permille",
            Self::PacketsUnasked => "packets-unasked",
        }
    }

    /// What its rate is a number of, in English.
    #[must_use]
    pub const fn in_english(self) -> &'static str {
        match self {
            Self::PacketsSent => "packets sent a second",
            Self::PacketsReceived => "packets received a second",
            Self::ConnectionsSent => "new TCP connections begun a second",
            Self::ConnectionsReceived => "new TCP connections asked for a second",
            Self::DiskBytes => "bytes a second from and to its volumes",
            Self::StealPermille => "thousandths of the host's processors' time taken",
            Self::PacketsUnasked => "packets a second sent beyond those received",
        }
    }
}

/// Kinds of alarms. A watch that is added later adds its kind at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// Somebody else changed a table of the packet filter that is the agent's.
    PacketFilter,
    /// A tenant that is to be cut was not.
    CutNotInForce,
    /// A bridge or a tap of an instance is gone, down or unplugged.
    DeviceMissing,
    /// More packets at one network card than its tenant's threshold.
    PacketFlood,
    /// More new TCP connections at one network card than its tenant's threshold.
    ConnectionFlood,
    /// An instance moves more bytes from and to its volumes than its tenant's threshold.
    DiskSaturation,
    /// The host gets less of its processors' time than the threshold allows.
    CpuSteal,
}

impl AlarmKind {
    /// The stable text, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PacketFilter => "packet-filter",
            Self::CutNotInForce => "cut-not-in-force",
            Self::DeviceMissing => "device-missing",
            Self::PacketFlood => "packet-flood",
            Self::ConnectionFlood => "connection-flood",
            Self::DiskSaturation => "disk-saturation",
            Self::CpuSteal => "cpu-steal",
        }
    }
}

/// A process on the host, as the kernel names it in its notification of the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// Its process or thread id.
    pub pid: u32,
    /// Its name: whoever starts it chooses that.
    pub command: String,
}

/// What a host signs of an alarm: it is of this host, and of no other that has the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAlarm {
    /// The host that found it.
    pub host: HostId,
    /// What it found.
    pub alarm: Alarm,
}

impl Said for HostAlarm {
    const DOMAIN: &'static [u8] = b"tenure/alarm/v1\0";
}

/// An alarm under its host's signature.
pub type SignedAlarm = Signed<HostAlarm>;

/// Most bytes that a host signs of one alarm.
pub const MAX_ALARM_BYTES: usize = 5_120;

/// What is said of alarms, on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmMessage {
    /// From the agent.
    Raised(SignedAlarm),
    /// From the controller: it is durable there, and need not be said again.
    Received {
        /// The alarm's.
        sequence: u64,
    },
}
