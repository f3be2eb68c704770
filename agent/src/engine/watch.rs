//! The watch: keeps the packets of cuts, and has their notices sent when the controller is silent.
//!
//! ```text
//! cut lane's stream ─ Packet, Disarm ─►┐                     ┌─► report ─► link, until receipted
//! cut lane ─ t0 ──────────────────────►│ verify, keep, count ┤
//! tenure-agent ─ what came of a try ──►┘                     └─► errand ─► tenure-agent: sends
//! ```
//!
//! tenure-hostd holds the packets, and tenure-agent sends what it is given when it is due. The
//! process that strangers can reach sees a packet pass, with the contacts' secrets in it, and keeps
//! none; it cannot disarm a watch, since the receipt is checked here against the pinned order key;
//! and it cannot begin one, nor make one late, since t0 and the clock are here. What it can do is
//! not send, or say that it sent: so can whoever stands in the network between host and mail
//! server.
//!
//! A packet is durable before its cut is tried, if that takes no longer than [`KEEP_LIMIT`]. The
//! cut never waits longer, and never fails for it: a packet that cannot be kept is reported, and a
//! disk that fails here neither ends the process nor keeps a notice that is due from being sent.

mod sending;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    channel::Grade,
    id::{CutId, NoticeId, TenantId},
    time::Timestamp,
    wire::watch::{
        DisarmReason, Packet, PacketNotice, Routes, SignedDisarm, SignedPacket, Watch,
        WatchReceipt, WatchReport, WatchSaid,
    },
};

use super::{
    Identity,
    reserve::{Reserve, Reserved},
};
use crate::{
    clock::Clock,
    core::watch::{self, Moment, Stage, WatchRecord},
    packets::{Found, PacketFailure, Packets, reopen},
    precedence,
};

/// Longest time that a cut waits for its packet to be durable.
pub const KEEP_LIMIT: Duration = Duration::from_millis(100);

/// Most messages that wait before the watch.
const MAX_INBOX: usize = 256;

/// Most notices that tenure-agent is asked to carry at once.
pub const MAX_ERRANDS: usize = 16;

/// How often the watch looks at what is due.
const LOOK: Duration = Duration::from_millis(500);

/// How long a try may take, places and all, before it counts as failed, ms.
const ERRAND_LIMIT_MS: i64 = 30_000;

/// How long a report may be without a receipt before it is said again, ms.
const AGAIN_MS: i64 = 30_000;

/// How long a word on a cut whose packet never came is remembered, ms: longer than a packet lives.
const REMEMBER_MS: i64 = 91 * 24 * 3600 * 1000;

/// A message to the watch.
#[derive(Debug)]
pub enum Input {
    /// A packet, as it came; who waits is told when it is durable, or will not be.
    Packet(SignedPacket, SyncSender<()>),
    /// The controller's receipt, as it came.
    Disarm(SignedDisarm),
    /// This host has committed a cut, by its wall clock.
    Began {
        /// Which.
        cut: CutId,
        /// When.
        at: Timestamp,
    },
    /// A report is durable at the controller.
    Receipt(WatchReceipt),
    /// The link is up: reports go here from now on.
    Connected(SyncSender<WatchReport>),
    /// tenure-agent is there to carry notices.
    Courier(SyncSender<Errand>),
    /// What came of a try.
    Carried(Carried),
}

/// One notice that tenure-agent is to carry, now and once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Names it in the answer.
    pub ticket: u64,
    /// By which routes.
    pub routes: Routes,
    /// What, and where to.
    pub notice: PacketNotice,
}

/// What came of an errand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Of the errand.
    pub ticket: u64,
    /// What its acceptance proves; nothing if it was not taken.
    pub grade: Option<Grade>,
    /// The other side's words, or what went wrong.
    pub evidence: String,
}

/// A watch that is remembered.
#[derive(Debug)]
struct Held {
    record: WatchRecord,
    packet: Option<Packet>,
    /// When its reports were said last, by the boot-time clock.
    said_ms: i64,
}

impl Held {
    fn has(&self, notice: NoticeId) -> bool {
        let notices = self.packet.as_ref().map_or(&[][..], |packet| &packet.notices);
        notices.iter().any(|known| known.id == notice)
    }

    /// The tenant of a standing packet that no cut has used, as far as the watch knows.
    fn stands_for(&self) -> Option<TenantId> {
        let packet = self.packet.as_ref().filter(|packet| packet.watch == Watch::Standing)?;
        self.record.since.is_none().then_some(packet.tenant)
    }

    /// Whether this host cut under it.
    fn began_here(&self) -> bool {
        let watch = self.packet.as_ref().map(|packet| packet.watch);
        let own = matches!(watch, Some(Watch::Ordered | Watch::Standing));
        own && self.record.since.is_some()
    }
}

/// A try that is under way.
#[derive(Debug)]
struct Out {
    cut: CutId,
    notice: NoticeId,
    began: Moment,
}

/// All watches of a host.
#[derive(Debug)]
pub struct Watcher {
    packets: Option<Packets>,
    identity: Arc<Identity>,
    clock: Clock,
    reserve: Arc<Reserve>,
    held: BTreeMap<CutId, Held>,
    outlet: Option<SyncSender<WatchReport>>,
    courier: Option<SyncSender<Errand>>,
    out: BTreeMap<u64, Out>,
    last_ticket: u64,
}

/// Starts the watch of a host on a thread of its own, and gives the way to it.
///
/// # Errors
/// If there is no thread for it.
pub fn start(
    dir: &Path,
    identity: Arc<Identity>,
    clock: Clock,
    reserve: Arc<Reserve>,
) -> std::io::Result<SyncSender<Input>> {
    let (inbox, messages) = sync_channel(MAX_INBOX);
    let dir = dir.to_owned();
    // Read on its own thread too: no cut waits for it.
    let body = move || {
        precedence::take();
        Watcher::open(&dir, identity, clock, reserve).run(&messages);
    };
    thread::Builder::new().name("watch".to_owned()).spawn(body)?;
    Ok(inbox)
}

impl Watcher {
    /// Takes up what is kept. Without a directory nothing can be kept, and is reported so.
    #[must_use]
    pub fn open(dir: &Path, identity: Arc<Identity>, clock: Clock, reserve: Arc<Reserve>) -> Self {
        let opened = Packets::open(dir).and_then(|packets| Ok((packets.load()?, packets)));
        let (found, packets) = match opened {
            Ok((found, packets)) => (found, Some(packets)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "packets of cuts cannot be kept on this host");
                (Vec::new(), None)
            }
        };
        let held = BTreeMap::new();
        let (outlet, courier, out) = (None, None, BTreeMap::new());
        let last_ticket = 0;
        let mut watcher =
            Self { packets, identity, clock, reserve, held, outlet, courier, out, last_ticket };
        found.into_iter().for_each(|found| watcher.resume(found));
        watcher
    }

    fn run(&mut self, inbox: &Receiver<Input>) {
        loop {
            match inbox.recv_timeout(LOOK) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look();
        }
    }

    fn now(&self) -> Moment {
        let (boot_ms, real) = (self.clock.boot_ms(), self.clock.now());
        Moment { boot_id: self.identity.agent.boot_id.clone(), boot_ms, real }
    }

    /// After a restart: a packet without a record was kept just before the process ended.
    fn resume(&mut self, Found { packet, record }: Found) {
        let packet = packet.and_then(|signed| match reopen(&signed, &self.identity.order_key) {
            Ok(packet) => Some(packet),
            Err(error) => {
                tracing::error!(error, "a kept packet is not the controller's");
                None
            }
        });
        let now = self.now();
        let record = match (record, &packet) {
            (Some(record), _) => record,
            (None, Some(packet)) => WatchRecord::armed(packet, &now),
            (None, None) => return,
        };
        let (cut, armed) = (record.cut, record.stage == Stage::Armed);
        let lost = armed && packet.is_none();
        let packet = packet.filter(|_| armed);
        self.held.insert(cut, Held { record, packet, said_ms: i64::MIN });
        if lost {
            let message = "the packet is not readable any more: look at the host's disk".to_owned();
            self.say(cut, WatchSaid::NotKept { code: "storage".to_owned(), message });
        }
        if lost || !armed {
            self.end(cut);
        }
        self.offer(cut);
    }

    /// Lets a cut on this host take the id of a standing packet that is not used; the one before it
    /// is over.
    fn offer(&mut self, cut: CutId) {
        let Some(held) = self.held.get(&cut) else { return };
        let (Some(tenant), Some(packet)) = (held.stands_for(), &held.packet) else { return };
        let reserved = Reserved { cut, after_ms: packet.fallback_after_ms };
        let before = self.reserve.keep(tenant, reserved).filter(|before| before.cut != cut);
        if let Some(Reserved { cut: before, .. }) = before {
            self.end(before);
            self.say(before, WatchSaid::Ended);
        }
    }

    /// Whether a watch may end although nobody was told: not if a cut on this host has taken its
    /// id, which the watch may not have heard yet. A free one is offered to no cut any more.
    fn is_free(&self, cut: CutId) -> bool {
        let tenant = self.held.get(&cut).and_then(Held::stands_for);
        tenant.is_none_or(|tenant| self.reserve.withdraw(tenant, cut))
    }

    /// Whether a newer standing packet of the same tenant is kept.
    fn is_outdated(&self, packet: &Packet) -> bool {
        let newer = |held: &Held| {
            held.stands_for() == Some(packet.tenant)
                && held.packet.as_ref().is_some_and(|one| one.issued_at > packet.issued_at)
        };
        packet.watch == Watch::Standing && self.held.values().any(newer)
    }

    /// Takes a message.
    pub fn take(&mut self, input: Input) {
        match input {
            Input::Packet(packet, kept) => self.keep(&packet, &kept),
            Input::Disarm(disarm) => self.disarm(&disarm),
            Input::Began { cut, at } => self.begin(cut, at),
            Input::Receipt(WatchReceipt { cut, sequence }) => {
                let known = self.held.get_mut(&cut);
                if known.is_some_and(|held| held.record.receipted(sequence)) {
                    self.note(cut);
                }
            }
            Input::Connected(outlet) => {
                self.outlet = Some(outlet);
                self.held.values_mut().for_each(|held| held.said_ms = i64::MIN);
            }
            Input::Courier(courier) => self.courier = Some(courier),
            Input::Carried(carried) => self.carried(carried),
        }
    }

    fn keep(&mut self, signed: &SignedPacket, kept: &SyncSender<()>) {
        let packet = match signed.verify(&self.identity.order_key) {
            Ok(packet) => packet,
            Err(error) => return tracing::error!("a packet was not taken: {error}"),
        };
        let cut = packet.cut;
        if let Some(held) = self.held.get(&cut) {
            // The first one stays: its notices have the same ids.
            let said = match held.record.stage {
                Stage::Armed => WatchSaid::Kept,
                Stage::Ended => WatchSaid::Ended,
            };
            return self.say(cut, said);
        }
        let Some(host) = self.identity.host.get() else {
            return tracing::error!(%cut, "a packet came before the host is enrolled");
        };
        let now = self.now();
        if self.is_outdated(&packet) {
            let record = WatchRecord::ended(cut, watch::until(&packet));
            self.held.insert(cut, Held { record, packet: None, said_ms: i64::MIN });
            return self.say(cut, WatchSaid::Ended);
        }
        let standing = packet.watch == Watch::Standing;
        let same = |held: &&Held| held.packet.is_some() && held.stands_for().is_some() == standing;
        let armed = self.held.values().filter(same).count();
        let admitted = watch::admit(&packet, *host, now.real, armed)
            .map_err(|refusal| (refusal.code(), refusal.to_string()));
        let stored = admitted.and_then(|()| match &self.packets {
            Some(packets) => {
                packets.keep(cut, signed).map_err(|error| ("storage", sentence(&error)))
            }
            None => Err(("storage", "the host has no place for packets: see its log".to_owned())),
        });
        let _ = kept.try_send(());
        match stored {
            Ok(()) => {
                let record = WatchRecord::armed(&packet, &now);
                let held = Held { record, packet: Some(packet), said_ms: i64::MIN };
                self.held.insert(cut, held);
                tracing::info!(%cut, standing, "this host keeps the notices of a cut");
                self.offer(cut);
                self.say(cut, WatchSaid::Kept);
            }
            Err((code, message)) => {
                tracing::error!(%cut, code, message, "a packet cannot be kept");
                let code = code.to_owned();
                // Said, and not remembered: it may come again, and fit then.
                let said = WatchSaid::NotKept { code, message };
                self.send(WatchReport { cut, sequence: 0, said });
            }
        }
    }

    fn disarm(&mut self, signed: &SignedDisarm) {
        let disarm = match signed.verify(&self.identity.order_key) {
            Ok(disarm) => disarm,
            Err(error) => return tracing::error!("a receipt of a cut was not taken: {error}"),
        };
        if self.identity.host.get() != Some(&disarm.host) {
            return tracing::error!(cut = %disarm.cut, "a receipt of a cut is another host's");
        }
        let cut = disarm.cut;
        // What this host itself cut is not void, whatever the controller was told of it on the way:
        // its customer is told. A witness cuts nothing.
        let began = self.held.get(&cut).is_some_and(Held::began_here);
        let free = self.is_free(cut);
        if disarm.reason == DisarmReason::Void && (began || !free) {
            return tracing::error!(%cut, "a cut of this host was called void: its notices stay");
        }
        let until = self.clock.now().plus_ms(REMEMBER_MS);
        self.held.entry(cut).or_insert_with(|| Held {
            record: WatchRecord::ended(cut, until),
            packet: None,
            said_ms: i64::MIN,
        });
        let why = match disarm.reason {
            DisarmReason::Told => "the customer is told",
            DisarmReason::Void => "nothing was cut",
            DisarmReason::Overtaken => "another cut has overtaken it",
        };
        tracing::info!(%cut, why, "this host need not watch over a cut any more");
        self.end(cut);
        self.say(cut, WatchSaid::Ended);
    }

    fn begin(&mut self, cut: CutId, at: Timestamp) {
        let now = self.now();
        // Offered again by a restart, it is in use all the same.
        self.is_free(cut);
        let Some(held) = self.held.get_mut(&cut) else { return };
        // The two clocks are compared at once, so that a step of the wall clock later counts not.
        if held.record.begin(now.before(now.real.ms_since(at).max(0))) {
            self.note(cut);
        }
    }

    /// Ends a watch: the packet goes, the record stays.
    fn end(&mut self, cut: CutId) {
        let Some(held) = self.held.get_mut(&cut) else { return };
        held.record.stage = Stage::Ended;
        held.packet = None;
        self.note(cut);
        if let Some(packets) = &self.packets
            && let Err(error) = packets.destroy(cut)
        {
            tracing::error!(%cut, "{}", sentence(&error));
        }
    }

    /// Says something of a watch, durable before it is sent.
    fn say(&mut self, cut: CutId, said: WatchSaid) {
        let Some(held) = self.held.get_mut(&cut) else { return };
        // What only says how things stand is said once, however often it is asked.
        let waits = held.record.queue.values().find(|report| report.said == said);
        let report = match waits {
            Some(report) => report.clone(),
            None => held.record.say(said),
        };
        self.note(cut);
        self.send(report);
    }

    fn send(&mut self, report: WatchReport) {
        let Some(outlet) = &self.outlet else { return };
        match outlet.try_send(report) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => self.outlet = None,
        }
    }

    fn note(&self, cut: CutId) {
        let (Some(packets), Some(held)) = (&self.packets, self.held.get(&cut)) else { return };
        if let Err(error) = packets.note(&held.record) {
            tracing::error!(%cut, "what became of a watch is not durable: {}", sentence(&error));
        }
    }
}

fn sentence(error: &PacketFailure) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |why| format!("{error}: {why}"))
}
