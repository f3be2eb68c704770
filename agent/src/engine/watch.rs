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
    id::{CutId, NoticeId},
    time::Timestamp,
    wire::watch::{
        DisarmReason, Packet, PacketNotice, Routes, SignedDisarm, SignedPacket, Watch,
        WatchReceipt, WatchReport, WatchSaid, WatchTry,
    },
};

use super::Identity;
use crate::{
    clock::Clock,
    core::watch::{self, Moment, Stage, WatchRecord},
    packets::{Found, PacketFailure, Packets, reopen},
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
const REMEMBER_MS: i64 = 8 * 24 * 3600 * 1000;

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
) -> std::io::Result<SyncSender<Input>> {
    let (inbox, messages) = sync_channel(MAX_INBOX);
    let dir = dir.to_owned();
    // Read on its own thread too: no cut waits for it.
    let body = move || Watcher::open(&dir, identity, clock).run(&messages);
    thread::Builder::new().name("watch".to_owned()).spawn(body)?;
    Ok(inbox)
}

impl Watcher {
    /// Takes up what is kept. Without a directory nothing can be kept, and is reported so.
    #[must_use]
    pub fn open(dir: &Path, identity: Arc<Identity>, clock: Clock) -> Self {
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
        let mut watcher =
            Self { packets, identity, clock, held, outlet, courier, out, last_ticket: 0 };
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
        let armed = self.held.values().filter(|held| held.packet.is_some()).count();
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
                tracing::info!(%cut, "this host watches over a cut");
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
        let began = self.held.get(&cut).is_some_and(|held| {
            let ordered = held.packet.as_ref().is_some_and(|one| one.watch == Watch::Ordered);
            ordered && held.record.since.is_some()
        });
        if disarm.reason == DisarmReason::Void && began {
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
        };
        tracing::info!(%cut, why, "this host need not watch over a cut any more");
        self.end(cut);
        self.say(cut, WatchSaid::Ended);
    }

    fn begin(&mut self, cut: CutId, at: Timestamp) {
        let now = self.now();
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

    /// Does what is due: tries, reports that are said again, and what is over.
    pub fn look(&mut self) {
        let now = self.now();
        let late = |out: &Out| now.ms_since(&out.began) >= ERRAND_LIMIT_MS;
        let late: Vec<u64> =
            self.out.iter().filter(|(_, out)| late(out)).map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            let limit = ERRAND_LIMIT_MS / 1000;
            let evidence = format!("the host's network side gave no answer within {limit} s");
            self.carried(Carried { ticket, grade: None, evidence });
        }
        for cut in self.held.keys().copied().collect::<Vec<_>>() {
            self.look_at(cut, &now);
        }
    }

    fn look_at(&mut self, cut: CutId, now: &Moment) {
        let Some(held) = self.held.get_mut(&cut) else { return };
        if held.record.is_over(now.real) {
            self.held.remove(&cut);
            if let Some(Err(error)) = self.packets.as_ref().map(|packets| packets.forget(cut)) {
                tracing::error!(%cut, "{}", sentence(&error));
            }
            return;
        }
        if now.boot_ms.saturating_sub(held.said_ms) >= AGAIN_MS && self.outlet.is_some() {
            held.said_ms = now.boot_ms;
            let reports: Vec<_> = held.record.queue.values().cloned().collect();
            reports.into_iter().for_each(|report| self.send(report));
        }
        let Some(held) = self.held.get(&cut) else { return };
        if held.record.is_stale(now.real) {
            self.end(cut);
            return self.say(cut, WatchSaid::Ended);
        }
        let Some(packet) = &held.packet else { return };
        let due = held.record.due(packet, now);
        let errands: Vec<_> = packet
            .notices
            .iter()
            .filter(|notice| due.contains(&notice.id) && !self.is_anothers(cut, notice.id))
            .map(|notice| (packet.routes.clone(), notice.clone()))
            .collect();
        for (routes, notice) in errands {
            self.ask(cut, routes, notice, now);
        }
    }

    /// Whether a watch that comes before this one has the same notice, and counts: what tells of
    /// several cuts is sent once by this host.
    fn is_anothers(&self, cut: CutId, notice: NoticeId) -> bool {
        let mut before = self.held.range(..cut).map(|(_, held)| held);
        before.any(|held| held.record.since.is_some() && held.has(notice))
    }

    /// What came of a try holds for every watch that has the same notice.
    fn share(&mut self, cut: CutId, began: &Moment, tried: &WatchTry) {
        let mut told = Vec::new();
        let mut others = Vec::new();
        for (other, held) in self.held.iter_mut().filter(|(other, _)| **other != cut) {
            let Some(packet) = held.packet.as_ref().filter(|_| held.has(tried.notice)) else {
                continue;
            };
            let list =
                if held.record.shared(packet, began, tried) { &mut told } else { &mut others };
            list.push(*other);
        }
        others.into_iter().for_each(|other| self.note(other));
        for other in told {
            self.end(other);
            self.say(other, WatchSaid::Ended);
        }
    }

    /// Asks tenure-agent to carry a notice, unless it is on its way.
    fn ask(&mut self, cut: CutId, routes: Routes, notice: PacketNotice, now: &Moment) {
        let id = notice.id;
        let on_its_way = self.out.values().any(|out| out.notice == id);
        let Some(courier) = self.courier.as_ref().filter(|_| !on_its_way) else { return };
        if self.out.len() >= MAX_ERRANDS {
            return;
        }
        let ticket = self.last_ticket + 1;
        match courier.try_send(Errand { ticket, routes, notice }) {
            Ok(()) => {
                tracing::warn!(%cut, notice = %id, "the controller is silent: this host sends");
                self.last_ticket = ticket;
                self.out.insert(ticket, Out { cut, notice: id, began: now.clone() });
            }
            Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => self.courier = None,
        }
    }

    fn carried(&mut self, Carried { ticket, grade, evidence }: Carried) {
        let Some(Out { cut, notice, began }) = self.out.remove(&ticket) else { return };
        tracing::info!(%cut, %notice, ?grade, evidence, "tried a notice");
        let tried = WatchTry { notice, at: self.clock.now(), grade, evidence };
        self.share(cut, &began, &tried);
        let Some(held) = self.held.get_mut(&cut) else { return };
        let Some(packet) = &held.packet else {
            // Disarmed meanwhile. That it was sent stays true.
            return self.say(cut, WatchSaid::Tried(tried));
        };
        let (report, told) = held.record.tried(packet, &began, tried);
        self.note(cut);
        report.into_iter().for_each(|report| self.send(report));
        if told {
            tracing::info!(%cut, "the customer is told by this host");
            self.end(cut);
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
