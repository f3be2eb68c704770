//! What the API shows of rows of the database: journal, orders, notices, evidence, hosts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use tenure_protocol::{
    channel::{Channel, Grade},
    digest::Digest,
    id::{CutId, HostId, NoticeId, OrderId, TenantId},
    time::Timestamp,
    wire::v1::{CommitInterval, HostFacts, InstanceObserved, Lane, Observation},
};
use utoipa::ToSchema;

use crate::{
    core::{
        joint::Part,
        notice::{Notice, NoticeKind, NoticeState, Outcome},
    },
    engine::row::{Block, EvidenceRecord, HostRecord, OrderRecord},
};

/// An order and what became of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: OrderId,
    /// To whom.
    #[schema(value_type = String, format = "uuid")]
    pub host: HostId,
    /// About whom.
    #[schema(value_type = String, format = "uuid")]
    pub tenant: TenantId,
    /// `cut` or `work`.
    #[schema(value_type = String)]
    pub lane: Lane,
    /// Its generation.
    pub generation: u64,
    /// `configure`, `stop`, `cut`, `restore` or `wipe`.
    pub action: String,
    /// `open`, `journalled`, `started`, `intent`, `done`, `failed`, `refused` or `superseded`.
    pub state: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// When the last report was recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reported_at: Option<Timestamp>,
    /// The same, once nothing more will come.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// The host's words, or how far it is.
    pub message: Option<String>,
    /// For cuts and restores: when the kernel committed.
    #[schema(value_type = Option<Object>)]
    pub interval: Option<CommitInterval>,
}

impl From<OrderRecord> for OrderView {
    fn from(order: OrderRecord) -> Self {
        let finished = matches!(order.state.as_str(), "done" | "failed" | "refused" | "superseded");
        Self {
            id: order.id,
            host: order.host,
            tenant: order.tenant,
            lane: order.lane,
            generation: order.generation.0,
            action: order.action,
            state: order.state,
            issued_at: order.issued_at,
            reported_at: order.reported_at,
            finished_at: order.reported_at.filter(|_| finished),
            message: order.message,
            interval: order.interval,
        }
    }
}

/// A notice and every try to deliver it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NoticeView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: NoticeId,
    /// What it says.
    #[schema(value_type = String)]
    pub kind: NoticeKind,
    /// About which cut, if it is about one.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub cut: Option<CutId>,
    /// The systems that it lists, if they were cut or restored by one act.
    pub systems: Vec<SystemView>,
    /// To whom.
    pub contact: String,
    /// `mail`, `webhook`, `sms` or `bot`.
    pub channel: &'static str,
    /// Where to.
    pub to: String,
    /// Subject line.
    pub subject: String,
    /// Text.
    pub body: String,
    /// `armed`, `due`, `delivered` or `void`.
    pub state: &'static str,
    /// The best that any try has proven.
    #[schema(value_type = Option<String>)]
    pub grade: Option<Grade>,
    /// When it is tried next.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// When it was delivered.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<Timestamp>,
    /// How many tries were made.
    pub tries_count: usize,
    /// The tries, oldest first.
    pub tries: Vec<TryView>,
}

/// One of several systems that a notice is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SystemView {
    /// Its tenant.
    #[schema(value_type = String, format = "uuid")]
    pub tenant: TenantId,
    /// Its name.
    pub system: String,
    /// Its cut.
    #[schema(value_type = String, format = "uuid")]
    pub cut: CutId,
    /// That cut's number.
    pub number: u32,
    /// Whether a contact of it designated the channel: then a delivery counts for it.
    pub designated: bool,
}

impl SystemView {
    fn of(part: &Part) -> Self {
        Self {
            tenant: part.tenant,
            system: part.system.clone(),
            cut: part.cut,
            number: part.number,
            designated: part.designated,
        }
    }
}

/// One try.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TryView {
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it has proven; nothing if it failed.
    #[schema(value_type = Option<String>)]
    pub grade: Option<Grade>,
    /// The other side's words, or what went wrong.
    pub evidence: String,
    /// Name of the host that tried, while the controller was silent; nothing if the controller did.
    pub by: Option<String>,
}

impl From<Notice> for NoticeView {
    fn from(notice: Notice) -> Self {
        let next_at = notice.next_at();
        let systems = notice.parts().iter().map(SystemView::of).collect();
        let channel = notice.channel.as_str();
        let to = match notice.channel {
            Channel::Mail { address } => address,
            Channel::Webhook { url, secret: _ } => url,
            Channel::Sms { number } => number,
            // The URL of a bot is a secret.
            Channel::Bot { kind, .. } => kind.as_str().to_owned(),
        };
        let (state, delivered_at) = match notice.state {
            NoticeState::Armed { .. } => ("armed", None),
            NoticeState::Due { .. } => ("due", None),
            NoticeState::Delivered { at, .. } => ("delivered", Some(at)),
            NoticeState::Void { .. } => ("void", None),
        };
        let tries: Vec<TryView> = notice
            .tries
            .into_iter()
            .map(|attempt| {
                let grade = match attempt.outcome {
                    Outcome::Accepted { grade } => Some(grade),
                    Outcome::Failed => None,
                };
                let by = attempt.by.map(|by| by.name);
                TryView { at: attempt.at, grade, evidence: attempt.evidence, by }
            })
            .collect();
        Self {
            id: notice.id,
            kind: notice.kind,
            cut: notice.cut,
            systems,
            contact: notice.contact,
            channel,
            to,
            subject: notice.subject,
            body: notice.body,
            state,
            grade: tries.iter().filter_map(|attempt| attempt.grade).max(),
            next_at,
            delivered_at,
            tries_count: tries.len(),
            tries,
        }
    }
}

/// A signed envelope.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvidenceView {
    /// Digest of the envelope's bytes.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// The statement's predicate type, its last part.
    pub kind: String,
    /// The host that signed; nothing if the controller did.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub host: Option<HostId>,
    /// The order that it is about.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub order: Option<OrderId>,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Its place in the ledger, once it is there.
    pub ledger_index: Option<u64>,
    /// The DSSE envelope, base64 of exactly the bytes that the digest is of.
    pub envelope: String,
}

impl From<EvidenceRecord> for EvidenceView {
    fn from(evidence: EvidenceRecord) -> Self {
        Self {
            digest: evidence.digest,
            kind: evidence.kind,
            host: evidence.host,
            order: evidence.order,
            at: evidence.at,
            ledger_index: evidence.ledger_index,
            envelope: STANDARD.encode(evidence.envelope),
        }
    }
}

/// Why a host is blocked.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BlockView {
    /// Name of the person; `controller` if its join token was used twice.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl From<Block> for BlockView {
    fn from(block: Block) -> Self {
        Self { by: block.by, at: block.at, reason: block.reason }
    }
}

/// A host.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HostView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// `admitted` or `blocked`.
    pub admission: &'static str,
    /// Why it is blocked, if it is.
    pub blocked: Option<BlockView>,
    /// Whether a session stands.
    pub up: bool,
    /// When it was last heard of.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_at: Option<Timestamp>,
    /// Version of its agent.
    pub agent_version: Option<String>,
    /// Its boot id.
    pub boot_id: Option<String>,
    /// Its host key (Ed25519), hexadecimal: it signs its attestations.
    pub host_key: String,
    /// What it has.
    #[schema(value_type = Option<Object>)]
    pub facts: Option<HostFacts>,
    /// Load of its processors, thousandths.
    pub cpu_load_permille: Option<u32>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Instances that it sees.
    #[schema(value_type = Vec<Object>)]
    pub instances: Vec<InstanceObserved>,
    /// Marks whose traffic it has cut.
    pub cut: Vec<u32>,
}

impl From<HostRecord> for HostView {
    fn from(host: HostRecord) -> Self {
        let blocked = host.block().cloned().map(BlockView::from);
        let seen = host.observation.is_some();
        let observation: Observation = host.observation.unwrap_or_default();
        Self {
            id: host.id,
            name: host.name,
            admission: if blocked.is_some() { "blocked" } else { "admitted" },
            blocked,
            up: host.up,
            seen_at: host.seen_at,
            agent_version: host.agent_version,
            boot_id: host.boot_id,
            host_key: hex::encode(host.host_key),
            facts: host.facts,
            cpu_load_permille: seen.then_some(observation.cpu_load_permille),
            memory_used_bytes: seen.then_some(observation.memory_used_bytes),
            instances: observation.instances,
            cut: observation.cut.into_iter().map(|mark| mark.0).collect(),
        }
    }
}
