//! Messages of version 1 (postcard). Positional and append-only: fields keep their place, variants
//! are added at the end, and nothing changes after the first release (`tests/golden.rs` of this
//! crate holds the bytes).
//!
//! ```text
//! agent                                   controller
//!   | -- control: Hello ------------------> |
//!   | <------------------------- Welcome -- |   the agent is up from here on
//!   | <----- lane (cut), lane (work): LaneOpen, then SignedOrder … |
//!   | -- Report{Journalled} --------------> |   durable on the host
//!   | -- Report{Started, Progress …} -----> |
//!   | -- Report{Intent} ------------------> |   a wipe only
//!   | <------------------ IntentReceipt --- |   the intent is in the ledger,
//!   | <---------------- or IntentRefusal -- |   or will never be: the order has failed
//!   | -- Report{Done | Failed | Refused} -> |   (cut lane: Done | Unmade, signed); again until …
//!   | <------------------ ReportReceipt --- |   … it is durable at the controller
//!   | -- Report{Local} -------------------> |   what a person ordered on the host itself; likewise
//!   | -- control: Alarm (raised, signed) -> |   sent again until …
//!   | <------------- control: Alarm (received) |
//! ```

use serde::{Deserialize, Serialize};

pub use super::alarm::{
    Alarm, AlarmKind, AlarmMessage, Culprit, Figures, HostAlarm, MAX_ALARM_BYTES, Measure,
    SignedAlarm, Thresholds, WHOLE_PERMILLE,
};
use crate::{
    digest::Digest,
    generation::Generation,
    id::{CutId, HostId, InstanceId, OrderId, TenantId, VolumeId},
    time::Timestamp,
};

/// Mark of a tenant in packet filters, unique in the fleet, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub u32);

/// The two lanes of a host. Nothing on the cut lane ever waits for the work lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Cuts and restores.
    Cut,
    /// Everything else.
    Work,
}

/// First message of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the agent's build.
    pub agent_version: String,
    /// `/proc/sys/kernel/random/boot_id`: changes when the host is restarted.
    pub boot_id: String,
    /// What the host has.
    pub facts: HostFacts,
}

/// What a host has, measured at the agent's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Logical processors.
    pub cpus: u32,
    /// Bytes that guests' memory may take in all.
    pub memory_bytes: u64,
    /// Bytes that volumes may take in all.
    pub volume_bytes: u64,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// `uname -r`.
    pub kernel: String,
}

/// The controller's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The host that the certificate names.
    pub host: HostId,
    /// Version of the controller's build.
    pub controller_version: String,
    /// The controller's clock.
    pub now: Timestamp,
}

/// Keep-alive with a clock sample, on the control stream; the agent sends, the controller answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAlive {
    /// The sender's clock.
    pub sent_at: Timestamp,
    /// `sent_at` of the message that this one answers.
    pub answers: Option<Timestamp>,
    /// From the agent: what it sees on its host.
    pub observation: Option<Observation>,
}

/// What an agent sees on its host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Instances that have a process or state on the host.
    pub instances: Vec<InstanceObserved>,
    /// Marks of the tenants whose traffic is cut.
    pub cut: Vec<Mark>,
    /// Load of the processors in thousandths, all of them together.
    pub cpu_load_permille: u32,
    /// Bytes of memory in use on the host.
    pub memory_used_bytes: u64,
}

/// One instance as its host sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceObserved {
    /// Which.
    pub instance: InstanceId,
    /// Whose.
    pub tenant: TenantId,
    /// Whether its process runs.
    pub power: Power,
}

/// First message of the controller on a lane's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneOpen {
    /// Which lane the stream carries.
    pub lane: Lane,
}

/// An order of the controller to one host. It carries the whole wanted state of its subject, and
/// may arrive late, twice or never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// UUIDv7. The same id with other bytes is refused.
    pub id: OrderId,
    /// The only host that may carry it out.
    pub host: HostId,
    /// Whose resources.
    pub tenant: TenantId,
    /// Generation of the tenant's wanted state on this host, for [`Action::Configure`] and
    /// [`Action::Wipe`]; of its isolation, for [`Action::Cut`] and [`Action::Restore`].
    pub generation: Generation,
    /// When the controller made it, by its real clock.
    pub issued_at: Timestamp,
    /// How long after `issued_at` it may still be accepted, ms.
    pub ttl_ms: u64,
    /// What to do.
    pub action: Action,
}

/// What an order asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Bring the tenant's instances and network on this host into this state.
    Configure(TenantWanted),
    /// Stop all traffic of the tenant at once, in both directions.
    Cut(CutOrder),
    /// Let the tenant's traffic pass again.
    Restore(CutOrder),
    /// Destroy all that the tenant has on this host: volumes, memory, keys.
    Wipe(WipeOrder),
}

impl Action {
    /// The lane on which it travels.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Cut(_) | Self::Restore(_) => Lane::Cut,
            Self::Configure(_) | Self::Wipe(_) => Lane::Work,
        }
    }
}

/// A cut, or the end of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOrder {
    /// Which cut.
    pub cut: CutId,
    /// The tenant's mark.
    pub mark: Mark,
}

/// The whole wanted state of a tenant on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantWanted {
    /// The tenant's mark in packet filters.
    pub mark: Mark,
    /// The tenant's network.
    pub network: Network,
    /// Every instance of the tenant on this host, stopped ones too.
    pub instances: Vec<InstanceWanted>,
    /// From when on what is counted at them is an anomaly.
    pub thresholds: Thresholds,
}

/// A tenant's IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Address of the network.
    pub address: [u8; 4],
    /// Prefix length.
    pub prefix: u8,
    /// The gateway, on the provider's fabric.
    pub gateway: [u8; 4],
}

/// One instance as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceWanted {
    /// Which.
    pub instance: InstanceId,
    /// Host name in the guest: a DNS label.
    pub name: String,
    /// Virtual processors, 1 to 64.
    pub vcpus: u16,
    /// Memory, MiB, 64 or more.
    pub memory_mib: u32,
    /// Whether it should run.
    pub power: Power,
    /// What it boots.
    pub boot: Boot,
    /// Its network card.
    pub nic: Nic,
    /// Its volumes, in the order in which the guest sees them.
    pub volumes: Vec<VolumeWanted>,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
}

/// What an instance boots: files of the host's image store, named by their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The kernel.
    pub kernel: Digest,
    /// The initial RAM file system.
    pub initrd: Digest,
    /// The kernel's command line; the agent appends `ip=` (kernel's nfsroot syntax).
    pub cmdline: String,
}

/// A network card and what may pass it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// MAC address, locally administered.
    pub mac: [u8; 6],
    /// The one IPv4 address that it may use.
    pub ip4: [u8; 4],
    /// What may come in besides ARP, answers, and ICMP's errors. No two rules overlap, and with
    /// those of `egress` there are [`MAX_RULES`] at most.
    pub ingress: Vec<PacketRule>,
    /// What may go out besides ARP, answers, and ICMP's errors.
    pub egress: Egress,
}

/// Most rules of one network card, both directions together.
pub const MAX_RULES: usize = 512;

/// What may go out of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Egress {
    /// Everything that it sends as itself: its customer has restricted nothing.
    Everything,
    /// These alone; no two overlap. None: nothing.
    Only(Vec<PacketRule>),
}

/// One kind of traffic with some addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PacketRule {
    /// What.
    pub traffic: Traffic,
    /// With whom: sources of what comes in, destinations of what goes out.
    pub peers: Peers,
}

/// Kinds of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Traffic {
    /// To ports: the instance's own of what comes in, the peer's of what goes out.
    Ports {
        /// The transport.
        transport: Transport,
        /// The first port, not 0.
        first: u16,
        /// The last port, not before the first.
        last: u16,
    },
    /// ICMP echo requests.
    Echo,
    /// Every IPv4 packet.
    All,
}

/// IPv4 addresses without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peers {
    /// The first.
    pub first: [u8; 4],
    /// The last, not before the first.
    pub last: [u8; 4],
}

impl Peers {
    /// Every address.
    pub const EVERYBODY: Self = Self { first: [0; 4], last: [255; 4] };
}

impl PacketRule {
    /// One port, for everybody.
    #[must_use]
    pub const fn open(transport: Transport, port: u16) -> Self {
        let traffic = Traffic::Ports { transport, first: port, last: port };
        Self { traffic, peers: Peers::EVERYBODY }
    }

    /// Whether a packet can be of both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let traffic = match (self.traffic, other.traffic) {
            (Traffic::All, _) | (_, Traffic::All) | (Traffic::Echo, Traffic::Echo) => true,
            (Traffic::Echo, Traffic::Ports { .. }) | (Traffic::Ports { .. }, Traffic::Echo) => {
                false
            }
            (
                Traffic::Ports { transport, first, last },
                Traffic::Ports { transport: of, first: from, last: to },
            ) => transport == of && first <= to && from <= last,
        };
        traffic && self.peers.first <= other.peers.last && other.peers.first <= self.peers.last
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One volume as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeWanted {
    /// Which.
    pub volume: VolumeId,
    /// Size that the guest sees, bytes; a multiple of 1 MiB.
    pub size_bytes: u64,
}

/// An order to destroy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WipeOrder {
    /// 1 for the first, then one more for each retry.
    pub attempt: u32,
    /// Random; seeds the pattern of the first pass, so that no older run can pass for this one.
    pub nonce: [u8; 32],
    /// All that the controller knows to have been allocated on this host and not been wiped. An
    /// agent that knows of more refuses; what it does not find is a failure.
    pub subjects: Vec<WipeSubject>,
    /// Digests of the two persons' approvals, as they stand in the ledger.
    pub approvals: Vec<Digest>,
}

/// One thing to destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WipeSubject {
    /// A volume with its keys and its encryption header.
    Volume {
        /// The instance that it belongs to.
        instance: InstanceId,
        /// Which.
        volume: VolumeId,
    },
    /// An instance's memory, and what else its process left (console log, sockets).
    Memory {
        /// The instance.
        instance: InstanceId,
    },
}

/// What became of an order. `sequence` grows with each report of a host, so that a resent one is
/// known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The order.
    pub order: OrderId,
    /// Per host, never used again.
    pub sequence: u64,
    /// The agent's clock.
    pub at: Timestamp,
    /// What happened.
    pub state: OrderState,
}

/// The states of an order on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderState {
    /// Durable on the host.
    Journalled,
    /// Being carried out.
    Started,
    /// How far it is; may be lost.
    Progress(Progress),
    /// A wipe: what it is about to destroy, signed. Nothing is written before the receipt.
    Intent {
        /// DSSE envelope, JSON.
        envelope: Vec<u8>,
    },
    /// Carried out.
    Done {
        /// What was measured.
        outcome: Outcome,
        /// DSSE envelopes, JSON: the attestations.
        envelopes: Vec<Vec<u8>>,
    },
    /// Tried, and not carried out; the attestations say how far it came.
    Failed {
        /// Stable code, kebab-case.
        code: String,
        /// What happened and what to do.
        message: String,
        /// DSSE envelopes, JSON.
        envelopes: Vec<Vec<u8>>,
    },
    /// Not tried, and nothing touched.
    Refused {
        /// Stable code, kebab-case.
        code: String,
        /// Why, and what to do.
        message: String,
    },
    /// No order of the controller: a person on the host itself ordered a cut, and perhaps its end
    /// before the controller knew of it. [`Report::order`] is the host's own id; all else stands in
    /// the statements, which the host signed.
    Local {
        /// DSSE envelopes, JSON: of the cut, and after it of its end.
        envelopes: Vec<Vec<u8>>,
    },
    /// On the cut lane, [`Self::Failed`] or [`Self::Refused`] under the host key's signature. There
    /// those two count for nothing: whoever owns a host's network side could say them, and have the
    /// controller call a cut void that was made.
    Unmade {
        /// Whether it was not tried at all.
        refused: bool,
        /// Stable code, kebab-case.
        code: String,
        /// What happened, or why not, and what to do.
        message: String,
        /// DSSE envelopes, JSON.
        envelopes: Vec<Vec<u8>>,
        /// Signature by the host key over [`unmade_message`]: 64 bytes.
        signature: Vec<u8>,
    },
}

/// What the host key signs of an order of the cut lane that was not carried out; `order` is the
/// digest of its signed bytes.
#[must_use]
pub fn unmade_message(order: &Digest, refused: bool, code: &str, message: &str) -> Vec<u8> {
    let words = [code, message].map(|word| Digest::of(word.as_bytes()).0);
    [b"tenure/unmade/v1\0".as_slice(), &order.0, &[u8::from(refused)], &words.concat()].concat()
}

/// How far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, for people.
    pub step: String,
    /// Bytes done of it.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// What was measured when an order was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// For [`Action::Configure`].
    Configured {
        /// Every instance of the wanted state.
        instances: Vec<InstanceObserved>,
    },
    /// For [`Action::Cut`].
    Cut(CommitInterval),
    /// For [`Action::Restore`].
    Restored(CommitInterval),
    /// For [`Action::Wipe`]: the verdicts are in the attestations.
    Wiped,
}

/// When the kernel committed a change of its packet filter: between these two readings of the
/// host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInterval {
    /// Read before the request was sent to the kernel.
    pub earliest: Timestamp,
    /// Read after its acknowledgement.
    pub latest: Timestamp,
    /// Between the two by the monotonic clock, ns.
    pub took_ns: u64,
}

/// The controller has made a report durable: it need not be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportReceipt {
    /// The order.
    pub order: OrderId,
    /// The report.
    pub sequence: u64,
}

/// The intent of a wipe is in the ledger: proof that needs no trust in the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentReceipt {
    /// The order.
    pub order: OrderId,
    /// The ledger entry's bytes; its `objectDigest` is the digest of the intent's envelope.
    pub entry: Vec<u8>,
    /// Index of the entry.
    pub index: u64,
    /// Inclusion proof (RFC 6962 §2.1.1), leaf to root.
    pub proof: Vec<Digest>,
    /// Checkpoint (C2SP tlog-checkpoint, a signed note) under which it is included.
    pub checkpoint: String,
}

/// The intent of a wipe is not taken, and will not be: the order has failed, and nothing is
/// destroyed. Who forges one stops a wipe, and no more, as who drops receipts does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRefusal {
    /// The order.
    pub order: OrderId,
    /// The report with the intent.
    pub sequence: u64,
    /// Stable code, kebab-case.
    pub code: String,
    /// Why, and what to do.
    pub message: String,
}

/// The answer to a frame that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// Kind of that frame.
    pub kind: u16,
    /// What was wrong and what to do.
    pub message: String,
}

/// A host asks to be taken in, on the enrolment port.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The join token's secret. Used once.
    pub secret: [u8; 32],
    /// Name of the host, the one that the token was made for.
    pub host_name: String,
    /// PKCS#10 request for the TLS certificate, DER.
    pub csr: Vec<u8>,
    /// The host key: Ed25519, signs attestations, never expires.
    pub host_key: [u8; 32],
    /// Signature by the host key over [`enrol_message`]: 64 bytes.
    pub signature: Vec<u8>,
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolRequest").field("host_name", &self.host_name).finish_non_exhaustive()
    }
}

/// A host whose certificate has expired asks for the next one, on the enrolment port. The answer is
/// an [`EnrolAnswer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejoinRequest {
    /// Which host; the signature proves it.
    pub host: HostId,
    /// PKCS#10 request for the TLS certificate, DER.
    pub csr: Vec<u8>,
    /// Signature by the host key over [`enrol_message`]: 64 bytes.
    pub signature: Vec<u8>,
}

/// What the host key signs at enrolment, re-join and renewal: bound to the request, and to this TLS
/// session by its exporter, which is the challenge: both sides' randomness is in it, and no other
/// session has the same.
#[must_use]
pub fn enrol_message(exporter: &[u8; 32], csr: &[u8]) -> Vec<u8> {
    [b"tenure/enrol/v1\0".as_slice(), exporter, &Digest::of(csr).0].concat()
}

/// The answer to [`EnrolRequest`] and to [`RejoinRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolAnswer {
    /// Taken in.
    Accepted {
        /// The host's id, which its certificate names.
        host: HostId,
        /// Certificate and intermediates, DER, leaf first.
        chain: Vec<Vec<u8>>,
    },
    /// Not taken in.
    Refused {
        /// Stable code, kebab-case.
        code: String,
        /// Why, and what to do.
        message: String,
    },
}

/// A host asks for its next certificate, on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// PKCS#10 request, DER.
    pub csr: Vec<u8>,
    /// Signature by the host key over [`enrol_message`]: 64 bytes.
    pub signature: Vec<u8>,
}

/// The answer to [`RenewRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RenewAnswer {
    /// The next certificate and its intermediates, DER, leaf first.
    Accepted {
        /// The chain.
        chain: Vec<Vec<u8>>,
    },
    /// Refused; the session ends when its certificate does.
    Refused {
        /// Why, and what to do.
        message: String,
    },
}
