//! Predicates: what a statement says of its subjects.
//!
//! A predicate keeps apart what was measured by the signing process in this run, what firmware
//! reported, what the inventory claims and what nobody measured. Its conclusion is computed from
//! the measured part alone, by one function per kind ([`Measured::conclude`]), and computed again
//! by whoever verifies: a stated pass over facts that are none cannot be constructed here, and does
//! not survive verification if it was made elsewhere.

pub mod conclusion;
pub mod configuration;
pub mod cut_proof;
pub mod device;
pub mod device_sanitize;
pub mod intent;
pub mod key_erasure;
pub mod local_order;
pub mod media_wipe;
pub mod memory_wipe;
pub mod network_cut;
pub mod notification;
pub mod tenant_exit;
pub mod wipe;

use serde::{Deserialize, Serialize};

pub use self::{
    conclusion::{Category, Conclusion, Ending, WipeResult},
    configuration::Configuration,
    device::{Device, DeviceOrigin, DeviceSanitizeIntent, Method},
    device_sanitize::{DeviceSanitize, DeviceSanitizeMeasured, SanitizeAccount},
    intent::{Run, Target, WipeIntent},
    key_erasure::{KeyErasure, KeyErasureMeasured},
    local_order::{LocalAct, LocalOrder},
    media_wipe::{MediaWipe, MediaWipeMeasured},
    memory_wipe::{MemoryWipe, MemoryWipeMeasured},
    network_cut::NetworkCut,
    notification::Notification,
    tenant_exit::TenantExit,
    wipe::{
        Claimed, DeviceReported, Measured, Pass, Pattern, ReadBack, ReadLayer, ReadMode, Wipe,
        WipeAccount, Writers,
    },
};
use crate::{
    digest::Digest,
    id::{HostId, OrderId, TenantId},
    time::Timestamp,
};

/// One of our predicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// What a host is about to destroy.
    WipeIntent(WipeIntent),
    /// The wipe of one volume's blocks.
    MediaWipe(MediaWipe),
    /// The wipe of one instance's memory.
    MemoryWipe(MemoryWipe),
    /// The destruction of one volume's keys and encryption header.
    KeyErasure(KeyErasure),
    /// A cut of a tenant's network, or the end of one.
    NetworkCut(NetworkCut),
    /// A notice and its tries.
    Notification(Notification),
    /// What a host runs for a tenant.
    Configuration(Configuration),
    /// The manifest of a tenant that has left.
    TenantExit(TenantExit),
    /// Which disk a host is about to have erased.
    DeviceSanitizeIntent(DeviceSanitizeIntent),
    /// A disk that left service, erased by its own firmware.
    DeviceSanitize(DeviceSanitize),
}

/// The kinds of predicates: their short names, as ledger entries and file names have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// [`Predicate::WipeIntent`].
    WipeIntent,
    /// [`Predicate::MediaWipe`].
    MediaWipe,
    /// [`Predicate::MemoryWipe`].
    MemoryWipe,
    /// [`Predicate::KeyErasure`].
    KeyErasure,
    /// [`Predicate::NetworkCut`].
    NetworkCut,
    /// [`Predicate::Notification`].
    Notification,
    /// [`Predicate::Configuration`].
    Configuration,
    /// [`Predicate::TenantExit`].
    TenantExit,
    /// [`Predicate::DeviceSanitizeIntent`].
    DeviceSanitizeIntent,
    /// [`Predicate::DeviceSanitize`].
    DeviceSanitize,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::WipeIntent,
        Self::MediaWipe,
        Self::MemoryWipe,
        Self::KeyErasure,
        Self::NetworkCut,
        Self::Notification,
        Self::Configuration,
        Self::TenantExit,
        Self::DeviceSanitizeIntent,
        Self::DeviceSanitize,
    ];

    /// The short name, kebab-case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WipeIntent => "wipe-intent",
            Self::MediaWipe => "media-wipe",
            Self::MemoryWipe => "memory-wipe",
            Self::KeyErasure => "key-erasure",
            Self::NetworkCut => "network-cut",
            Self::Notification => "notification",
            Self::Configuration => "configuration",
            Self::TenantExit => "tenant-exit",
            Self::DeviceSanitizeIntent => "device-sanitize-intent",
            Self::DeviceSanitize => "device-sanitize",
        }
    }

    /// The kind with this short name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The predicate type (in-toto TypeURI).
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::WipeIntent => "https://tenure.dev/attestation/wipe-intent/v0.1",
            Self::MediaWipe => "https://tenure.dev/attestation/media-wipe/v0.1",
            Self::MemoryWipe => "https://tenure.dev/attestation/memory-wipe/v0.1",
            Self::KeyErasure => "https://tenure.dev/attestation/key-erasure/v0.1",
            Self::NetworkCut => "https://tenure.dev/attestation/network-cut/v0.1",
            Self::Notification => "https://tenure.dev/attestation/notification/v0.1",
            Self::Configuration => "https://tenure.dev/attestation/configuration/v0.1",
            Self::TenantExit => "https://tenure.dev/attestation/tenant-exit/v0.1",
            Self::DeviceSanitizeIntent => {
                "https://tenure.dev/attestation/device-sanitize-intent/v0.1"
            }
            Self::DeviceSanitize => "https://tenure.dev/attestation/device-sanitize/v0.1",
        }
    }
}

impl Predicate {
    /// Which kind this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::WipeIntent(_) => Kind::WipeIntent,
            Self::MediaWipe(_) => Kind::MediaWipe,
            Self::MemoryWipe(_) => Kind::MemoryWipe,
            Self::KeyErasure(_) => Kind::KeyErasure,
            Self::NetworkCut(_) => Kind::NetworkCut,
            Self::Notification(_) => Kind::Notification,
            Self::Configuration(_) => Kind::Configuration,
            Self::TenantExit(_) => Kind::TenantExit,
            Self::DeviceSanitizeIntent(_) => Kind::DeviceSanitizeIntent,
            Self::DeviceSanitize(_) => Kind::DeviceSanitize,
        }
    }

    /// Where it comes from, if a host made it for a tenant.
    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        match self {
            Self::WipeIntent(intent) => Some(&intent.origin),
            Self::MediaWipe(wipe) => Some(&wipe.origin),
            Self::MemoryWipe(wipe) => Some(&wipe.origin),
            Self::KeyErasure(wipe) => Some(&wipe.origin),
            Self::NetworkCut(cut) => Some(&cut.origin),
            Self::Configuration(configuration) => Some(&configuration.origin),
            Self::Notification(_)
            | Self::TenantExit(_)
            | Self::DeviceSanitizeIntent(_)
            | Self::DeviceSanitize(_) => None,
        }
    }

    /// The tenant that it is about; a disk that leaves service is no tenant's.
    #[must_use]
    pub const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::WipeIntent(intent) => Some(intent.origin.tenant),
            Self::MediaWipe(wipe) => Some(wipe.origin.tenant),
            Self::MemoryWipe(wipe) => Some(wipe.origin.tenant),
            Self::KeyErasure(wipe) => Some(wipe.origin.tenant),
            Self::NetworkCut(cut) => Some(cut.origin.tenant),
            Self::Notification(notice) => Some(notice.tenant),
            Self::Configuration(configuration) => Some(configuration.origin.tenant),
            Self::TenantExit(exit) => Some(exit.tenant),
            Self::DeviceSanitizeIntent(_) | Self::DeviceSanitize(_) => None,
        }
    }

    /// The result of a wipe's attestation.
    #[must_use]
    pub const fn wipe_result(&self) -> Option<WipeResult> {
        match self {
            Self::MediaWipe(wipe) => Some(wipe.conclusion().result),
            Self::MemoryWipe(wipe) => Some(wipe.conclusion().result),
            Self::KeyErasure(wipe) => Some(wipe.conclusion().result),
            Self::DeviceSanitize(wipe) => Some(wipe.conclusion().result),
            Self::WipeIntent(_)
            | Self::NetworkCut(_)
            | Self::Notification(_)
            | Self::Configuration(_)
            | Self::TenantExit(_)
            | Self::DeviceSanitizeIntent(_) => None,
        }
    }

    /// What it proves beside what every honest statement does, as a sentence.
    #[must_use]
    pub fn proves(&self) -> Option<String> {
        match self {
            Self::NetworkCut(cut) => cut.proves(),
            Self::WipeIntent(_)
            | Self::MediaWipe(_)
            | Self::MemoryWipe(_)
            | Self::KeyErasure(_)
            | Self::Notification(_)
            | Self::Configuration(_)
            | Self::TenantExit(_)
            | Self::DeviceSanitizeIntent(_)
            | Self::DeviceSanitize(_) => None,
        }
    }

    /// What is wrong with it by its own rules, as a sentence: a stated conclusion that its measured
    /// facts do not bear out, or a part that must be there and is not.
    #[must_use]
    pub fn dishonesty(&self) -> Option<String> {
        match self {
            Self::WipeIntent(intent) => intent.dishonesty(),
            Self::MediaWipe(wipe) => wipe.dishonesty(),
            Self::MemoryWipe(wipe) => wipe.dishonesty(),
            Self::KeyErasure(wipe) => wipe.dishonesty(),
            Self::NetworkCut(cut) => cut.dishonesty(),
            Self::Notification(notice) => notice.dishonesty(),
            Self::Configuration(configuration) => configuration.dishonesty(),
            Self::TenantExit(exit) => exit.dishonesty(),
            Self::DeviceSanitizeIntent(intent) => intent.dishonesty(),
            Self::DeviceSanitize(wipe) => wipe.dishonesty(),
        }
    }
}

/// Which host made a statement, on which order, with which build and clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// The order that was carried out.
    pub order: OrderRef,
    /// Whose resources.
    pub tenant: TenantId,
    /// The host.
    pub host: HostId,
    /// The process that measured and signed.
    pub agent: AgentIdentity,
    /// The clock that its times are of.
    pub clock: Clock,
}

/// An order, by id and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderRef {
    /// Its id.
    pub id: OrderId,
    /// Digest of its signed bytes ([`crate::wire::order::SignedOrder::digest`]).
    pub digest: Digest,
}

/// The process that made a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentIdentity {
    /// Version of its build.
    pub version: String,
    /// Digest of its executable (`/proc/self/exe`).
    pub binary: Digest,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel: String,
}

/// A clock and how far it may be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clock {
    /// Such as `CLOCK_REALTIME`.
    pub source: String,
    /// Whether the kernel holds it for synchronised (adjtimex without `STA_UNSYNC`).
    pub synchronised: bool,
    /// The kernel's bound on its error, ns (adjtimex `maxerror`).
    pub max_error_ns: u64,
}

/// Something that nobody measured, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotMeasured {
    /// What.
    pub what: String,
    /// Why not.
    pub reason: String,
}

/// From when to when something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Span {
    /// The first moment, by the host's clock.
    pub started_at: Timestamp,
    /// The last moment.
    pub ended_at: Timestamp,
    /// Between the two by the monotonic clock, ns, pauses by crashes not counted.
    pub took_ns: u64,
}
