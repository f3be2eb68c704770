//! A tenant: the isolated set of resources granted on one application, and the subject of the
//! lifecycle. [`application`] is what the customer asked for; here is what became of it.
//!
//! ```text
//!  Draft ─submit─▶ Submitted ─return─▶ CorrectionRequested ─submit─▶ Submitted
//!                      │ ├──reject──▶ Rejected ■
//!                      │ approve
//!                  ┌───┴── no room ──▶ Approved ─room, tried again─┐
//!                  ▼                                               ▼
//!                  Configuring ◀───────────────────────────────────┘
//!                  │  └─failed─▶ ConfigurationFailed ─retry─▶ Configuring
//!                  │ every host done, hand-over notice delivered
//!                Trial ──────────reports───────────▶ UnderReview ─pass─▶ Online
//!                  │  (started or not, extended or not)  ▲  │ fail
//!                  │                            reports  │  ▼
//!                  │                                  Rectifying, or TrialExpired once it is over
//!                  └─trial over─▶ TrialExpired ◀─trial over─┘ └──reports──▶ UnderReview
//!
//!  Draft, Submitted, CorrectionRequested, Approved ─withdraw─▶ Withdrawn ■
//!
//!  ConfigurationFailed, Trial, UnderReview, Rectifying, TrialExpired, Online
//!     ─ask to leave─▶ OffboardingRequested ─reject─▶ back to where it was asked
//!                          │ approve (stop day as asked if lawful or waived, else the lawful one)
//!                     OffboardingApproved
//!                          │ now ≥ stop day, no hold; confirmed, or second notice's grace over
//!                      Draining ─every host stopped─▶ Stopped
//!                                                      │ two persons' approvals, no hold
//!                      WipeFailed ◀─────failed────── Wiping
//!                          └──two approvals, no hold──▶│ every volume and memory attested
//!                          └──what was missing, late─▶ WipeVerified ─▶ Closed ■
//! ```
//! ■ is an end. Three regions are orthogonal to the phase: isolation (`Connected → Cutting → Cut →
//! Restoring → Connected`), [`compliance`] (MLPS, ICP, monthly check), [`hold`] (none, dispute,
//! legal hold).

pub mod application;
pub mod compliance;
pub mod drill;
pub mod format;
pub mod former;
pub mod hold;
pub mod offboarding;
pub mod papers;
pub mod phase;
pub mod probe;
pub mod telling;
pub mod trial;
pub mod wipe;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    generation::Generation,
    id::{CutId, HostId, InstanceId, NoticeId, OrderId, TenantId, VolumeId},
    time::Timestamp,
    wire::v1::{Boot, CommitInterval, Mark, Network, Power, WipeSubject},
};

use super::watch::Witness;

pub use application::{
    Application, Bot, Contact, Designated, IngressRequest, InstanceRequest, SecretOf, System,
    Webhook, Zone,
};
pub use compliance::{Assessment, IcpConfirmed, IcpFiled, IcpFiling, IcpOpening};
pub use drill::{Canary, CanaryInForce, CanaryProposal, Drill, DrilledChannel};
pub use format::Format;
pub use former::Former;
pub use hold::{Hold, HoldAct, HoldKind, HoldRegion};
pub use offboarding::{Chase, Offboarding, OtherDelivery, Served, Waiver};

pub use papers::{Inspected, Papers};
pub use phase::Phase;
pub use probe::{Probe, ProbeAcknowledged, Probed};
pub use telling::{Acknowledgement, Rung};
pub use trial::{Expert, Extension, ExtensionDecision, Rectification, Rectified, Reports, Trial};
pub use wipe::{Approval, Proven, Wipe};

use super::{
    anomaly::Anomalies,
    group::Group,
    lifecycle::{CutKind, Decision},
    obligation::{Obligation, ObligationId},
};

/// One tenant: the whole state that the lifecycle decides on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// In which format it is stored.
    pub format: Format,
    /// Which.
    pub id: TenantId,
    /// Grows by one with each transition.
    pub version: u64,
    /// What the customer asked for.
    pub application: Application,
    /// Names of the persons who acted for the customer: none of them may review or approve.
    pub applicants: BTreeSet<String>,
    /// Names of the persons who decided for the provider: none of them may act for the customer.
    pub deciders: BTreeSet<String>,
    /// Where in the lifecycle.
    pub phase: Phase,
    /// Whether its traffic passes.
    pub isolation: Isolation,
    /// When the (last) application was received; legal time. Nothing while it is a draft, or if it
    /// was withdrawn as one: then it is its customer's alone.
    pub submitted_at: Option<Timestamp>,
    /// Why an approved application waits for a host; nothing once it is placed.
    pub waiting: Option<Waiting>,
    /// Opening day's instant (开通): allocations attested and hand-over notice delivered.
    pub opened_at: Option<Timestamp>,
    /// What it was given.
    pub allotment: Option<Allotment>,
    /// The last order of each kind to each host, and what became of it.
    pub orders: Vec<OpenOrder>,
    /// Last generations handed out, per host.
    pub generations: BTreeMap<HostId, Generations>,
    /// What is owed to whom until when, oldest first.
    pub obligations: Vec<Obligation>,
    /// Every opinion given on it, oldest first.
    pub opinions: Vec<Opinion>,
    /// The hand-over notices, while their delivery is awaited.
    pub handover: Vec<NoticeId>,
    /// The trial, from opening day on.
    pub trial: Option<Trial>,
    /// The reports under review, or the last ones.
    pub reports: Option<Reports>,
    /// What failed reviews asked to rectify, oldest first.
    pub rectifications: Vec<Rectification>,
    /// When formal operation began; legal time.
    pub online_at: Option<Timestamp>,
    /// The MLPS assessment, once filed; the last one.
    pub assessment: Option<Assessment>,
    /// The ICP filing that waits to be looked up.
    pub icp_filed: Option<IcpFiled>,
    /// The ICP filing, once it was found in the register; the last one.
    pub icp: Option<IcpConfirmed>,
    /// Who opened Internet ingress before the filing.
    pub icp_opening: Option<IcpOpening>,
    /// Its security groups, by name; nothing as long as its customer has changed none: then they
    /// are those of its application ([`Tenant::groups`]).
    #[serde(default)]
    pub groups: Option<Vec<Group>>,
    /// What it has of its own about anomalies: nothing before somebody sets it.
    #[serde(default)]
    pub anomalies: Anomalies,
    /// Whether it may be drilled: nobody said so before somebody does.
    #[serde(default)]
    pub canary: Canary,
    /// Every hold, oldest first.
    pub holds: Vec<Hold>,
    /// What of its records matters to the lifecycle.
    pub papers: Papers,
    /// The way off, once asked for.
    pub offboarding: Option<Offboarding>,
    /// The planned cut that is announced.
    pub announcement: Option<Announcement>,
    /// Every cut, oldest first.
    pub cuts: Vec<Cut>,
    /// The last probe of the channels to its contacts; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// The contacts from before the last changes, oldest first: they are told of cuts for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
    /// The wipe, from the first approval on.
    pub wipe: Option<Wipe>,
    /// Legal instant at which [`super::lifecycle::Event::Tick`] has something to do.
    pub wake_at: Option<Timestamp>,
    /// Legal instant from which a person of the provider has something to do
    /// ([`super::duty::since`]).
    #[serde(default)]
    pub duty_at: Option<Timestamp>,
}

impl Tenant {
    /// The hosts that it has instances on, each once.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<HostId> {
        self.instances().iter().map(|instance| instance.host).collect()
    }

    /// Its instances; none before approval.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        self.allotment.as_ref().map_or(&[], |allotment| &allotment.instances)
    }

    /// Whether a hold keeps it from being drained or wiped.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.iter().any(Hold::blocks)
    }

    /// What holds it, in a word: a legal hold before a dispute.
    #[must_use]
    pub fn hold_region(&self) -> HoldRegion {
        let kinds = self.holds.iter().filter(|hold| hold.blocks()).map(|hold| hold.kind);
        kinds.max().map_or(HoldRegion::None, |kind| match kind {
            HoldKind::LegalHold => HoldRegion::LegalHold,
            HoldKind::Dispute => HoldRegion::Dispute,
        })
    }

    /// The last cut, if there was one.
    #[must_use]
    pub fn last_cut(&self) -> Option<&Cut> {
        self.cuts.last()
    }

    /// The number of the next cut. One that was heard of late stands before others and has a higher
    /// number than theirs.
    #[must_use]
    pub fn next_cut(&self) -> u32 {
        self.cuts.iter().map(|cut| cut.number).max().unwrap_or(0).saturating_add(1)
    }

    /// The orders of one kind that hosts have not answered finally.
    #[must_use]
    pub fn open_orders(&self, kind: OrderKind) -> Vec<OrderId> {
        let open = |order: &&OpenOrder| order.kind == kind && order.state == OrderFate::Open;
        self.orders.iter().filter(open).map(|order| order.id).collect()
    }

    /// When the customer has to be notified of a cut: the stored deadline of its O12b, which there
    /// is from the first commit on.
    #[must_use]
    pub fn notify_by(&self, cut: &Cut) -> Option<Timestamp> {
        let owed = |owed: &&Obligation| owed.id == ObligationId::O12b && owed.serial == cut.number;
        self.obligations.iter().find(owed).and_then(|owed| owed.due.due_at())
    }

    /// The earliest deadline of what is still owed, by whichever clock that one counts; nothing if
    /// nothing is owed by a deadline. What was missed and never met is still owed.
    #[must_use]
    pub fn next_due_at(&self) -> Option<Timestamp> {
        let owed = self.obligations.iter().filter(|obligation| obligation.is_owed());
        owed.filter_map(|obligation| obligation.due.due_at()).min()
    }

    /// Everything ever allocated on a host: volumes by instance, then memory.
    #[must_use]
    pub fn subjects(&self, host: HostId) -> Vec<WipeSubject> {
        let mut subjects = Vec::new();
        for instance in self.instances().iter().filter(|instance| instance.host == host) {
            let volumes = instance.volumes.iter();
            subjects.extend(
                volumes
                    .map(|volume| WipeSubject::Volume { instance: instance.id, volume: volume.id }),
            );
            subjects.push(WipeSubject::Memory { instance: instance.id });
        }
        subjects
    }

    /// What of [`Tenant::subjects`] is not proven destroyed.
    #[must_use]
    pub fn unproven(&self, host: HostId) -> Vec<WipeSubject> {
        let proven = self.wipe.as_ref().map_or(&[][..], |wipe| &wipe.proven);
        let is_proven = |subject: &WipeSubject| {
            proven.iter().any(|proof| proof.host == host && proof.subject == *subject)
        };
        self.subjects(host).into_iter().filter(|subject| !is_proven(subject)).collect()
    }
}

/// Whether a tenant's traffic passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Isolation {
    /// It passes.
    Connected,
    /// A cut is ordered; some host has not committed it yet.
    Cutting {
        /// Which.
        cut: CutId,
    },
    /// Every host has committed the cut.
    Cut {
        /// Which.
        cut: CutId,
    },
    /// A restore is ordered; some host has not committed it yet.
    Restoring {
        /// Which cut is being ended.
        cut: CutId,
    },
}

impl Isolation {
    /// The stable kebab-case texts, in the order of the way.
    pub const TEXTS: [&'static str; 4] = ["connected", "cutting", "cut", "restoring"];

    /// The cut that is made, open or being ended.
    #[must_use]
    pub const fn cut(self) -> Option<CutId> {
        match self {
            Self::Cutting { cut } | Self::Cut { cut } | Self::Restoring { cut } => Some(cut),
            Self::Connected => None,
        }
    }

    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Cutting { .. } => "cutting",
            Self::Cut { .. } => "cut",
            Self::Restoring { .. } => "restoring",
        }
    }
}

/// What a tenant was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allotment {
    /// Its mark in packet filters.
    pub mark: Mark,
    /// Its network.
    pub network: Network,
    /// Its instances, by name.
    pub instances: Vec<Instance>,
}

/// One instance of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which.
    pub id: InstanceId,
    /// `<role>-<n>`.
    pub name: String,
    /// The host that it was placed on.
    pub host: HostId,
    /// MAC address, locally administered.
    pub mac: [u8; 6],
    /// Address in the tenant's network.
    pub ip4: [u8; 4],
    /// Virtual processors.
    pub vcpus: u16,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Name of the image.
    pub image: String,
    /// What it boots.
    pub boot: Boot,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// What its host last reported; nothing before the first report.
    pub power: Option<Power>,
}

impl Instance {
    /// The role that it was applied for with.
    #[must_use]
    pub fn role(&self) -> &str {
        self.name.rsplit_once('-').map_or(self.name.as_str(), |(role, _)| role)
    }
}

/// One volume of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Which.
    pub id: VolumeId,
    /// Size, bytes.
    pub size_bytes: u64,
}

/// Generations handed out for a tenant on one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generations {
    /// Of the wanted state (configure and wipe).
    pub wanted: Generation,
    /// Of the isolation (cut and restore).
    pub isolation: Generation,
}

/// What an order asks for, without its detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// The wanted state with running instances.
    Configure,
    /// The wanted state with stopped instances.
    Stop,
    /// Cut the traffic.
    Cut,
    /// Let it pass again.
    Restore,
    /// Destroy.
    Wipe,
}

/// An order as the lifecycle remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// Which.
    pub id: OrderId,
    /// To whom.
    pub host: HostId,
    /// For what.
    pub kind: OrderKind,
    /// What became of it.
    pub state: OrderFate,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum OrderFate {
    /// Not heard of yet.
    Open,
    /// Carried out.
    Done,
    /// Failed or refused.
    Failed {
        /// The host's code.
        code: String,
        /// The host's words.
        message: String,
        /// Legal instant at which it is ordered again; without it a person decides.
        again_at: Option<Timestamp>,
    },
}

/// One opinion on an application, on reports, or on leaving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// What it was on: the phase in which it was given.
    pub phase: Phase,
    /// What was decided.
    pub decision: Decision,
    /// The words.
    pub opinion: String,
    /// Who.
    pub reviewer: String,
    /// When; legal time.
    pub at: Timestamp,
    /// The reports that it is about, by their digests: test, security risk assessment.
    pub reports: Option<[Digest; 2]>,
}

/// Why an approved application waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Since when; legal time.
    pub since: Timestamp,
    /// What is missing, and what to do.
    pub reason: String,
}

/// A planned cut that the customer is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Why, in the operator's words.
    pub reason: String,
    /// Who announced it.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
    /// Its notices.
    pub notices: Vec<NoticeId>,
    /// First delivery of grade E2 or E3, real time: the cut may be ordered from then on.
    pub delivered_at: Option<Timestamp>,
    /// How a person of the customer acknowledged it (grade E3).
    #[serde(default)]
    pub acknowledged: Option<Acknowledgement>,
}

/// One cut of the tenant's network, from order to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Which.
    pub id: CutId,
    /// Number of the cut within the tenant, from 1: what people quote.
    pub number: u32,
    /// In an emergency, planned, or a drill.
    pub kind: CutKind,
    /// How the customer was told before: of a planned cut, or of one that was planned.
    pub announced: Option<Announcement>,
    /// Why, in the operator's words.
    pub reason: String,
    /// Who ordered it.
    pub ordered_by: String,
    /// When; legal time.
    pub ordered_at: Timestamp,
    /// First commit that dropped the tenant's traffic on any host, by the agent's real clock.
    pub t0: Option<CommitInterval>,
    /// Commits per host.
    pub commits: BTreeMap<HostId, CommitInterval>,
    /// The notices armed with it, one for each contact and channel in the application's order, and
    /// after them the corrections.
    pub notices: Vec<NoticeId>,
    /// The host besides the ordered ones that keeps its notices. Nobody was asked before this was
    /// kept.
    #[serde(default)]
    pub witness: Witness,
    /// First delivery of grade E2 or E3, real time.
    pub notified_at: Option<Timestamp>,
    /// When it was ordered, real clock. Nobody knows it of a cut from before this was kept.
    #[serde(default)]
    pub began_at: Option<Timestamp>,
    /// The last alarm that the provider's people were called with.
    #[serde(default)]
    pub alarm: Option<Rung>,
    /// The notices of those alarms.
    #[serde(default)]
    pub alarms: Vec<NoticeId>,
    /// How a person of the customer acknowledged it (grade E3).
    #[serde(default)]
    pub acknowledged: Option<Acknowledgement>,
    /// Its notices to contacts from before the last changes: they prove no arrival, and no
    /// acknowledgement keeps them from going out ([`former`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<NoticeId>,
    /// What is measured of it, if it is a drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
    /// How it ended.
    pub end: CutEnd,
    /// Legal instant of the last reminder that it is open.
    pub reminded_at: Timestamp,
}

/// How a cut ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum CutEnd {
    /// It has not.
    Open,
    /// Restored.
    Restored {
        /// Who ordered it.
        by: String,
        /// Why.
        reason: String,
        /// Last host's commit, by its real clock.
        at: Option<Timestamp>,
        /// The restore's notices.
        notices: Vec<NoticeId>,
    },
    /// No host carried it out; or it was a drill that a cut in earnest overtook.
    Void {
        /// The hosts' words.
        reason: String,
    },
}
