//! A fleet's watches over cuts: the agents' own, driven by hand, with the network side played by
//! the story.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use tenure_agent::{
    clock::Clock,
    engine::{
        Identity,
        reserve::{Reserve, Reserved},
        watch::{Carried, Errand, Input, Watcher},
    },
};
use tenure_controller::{
    core::watch::{self, WatchState},
    engine::{Engine, EngineError, WatchRow, WatchWord},
};
use tenure_protocol::{
    channel::Grade,
    id::{CutId, HostId, TenantId},
    ladder::FALLBACK_AFTER_S,
    time::Timestamp,
    wire::{
        v1::{Alarm, HostAlarm, SignedAlarm},
        watch::{DisarmReason, Routes, SaidError, WatchReport},
    },
};

use super::{Fleet, Member};

/// Messages of each kind that may wait in a story.
const ROOM: usize = 1024;

/// One host's watch.
#[derive(Debug)]
pub struct Watching {
    watcher: Watcher,
    inbox: Receiver<Input>,
    said: Receiver<WatchReport>,
    errands: Receiver<Errand>,
    /// How it is put together again.
    parts: Begins,
    /// The cuts that a person on the host may take the ids of.
    pub(super) reserve: Arc<Reserve>,
}

impl Watching {
    /// A watch in this directory, and the way to it for the host's cut lane.
    #[must_use]
    pub fn start(
        dir: PathBuf,
        identity: &Arc<Identity>,
        clock: &Clock,
    ) -> (Self, SyncSender<Input>) {
        let (to_watch, inbox) = sync_channel(ROOM);
        let reserve = Arc::new(Reserve::default());
        let parts = (dir, Arc::clone(identity), clock.clone());
        let (watcher, said, errands) = begin(&parts, &reserve);
        (Self { watcher, inbox, said, errands, parts, reserve }, to_watch)
    }

    /// Ends it between two steps, as a kill of the process would, and starts it again.
    pub fn restart(&mut self) {
        (self.watcher, self.said, self.errands) = begin(&self.parts, &self.reserve);
    }

    /// What its cut lane said is taken; what is due is done, and what the host is asked to carry is
    /// answered so: a grade, if it was taken, and the other side's words.
    pub fn look(
        &mut self,
        answer: impl Fn(&Errand) -> (Option<Grade>, &'static str),
    ) -> Vec<Errand> {
        self.inbox.try_iter().for_each(|input| self.watcher.take(input));
        self.watcher.look();
        let errands: Vec<Errand> = self.errands.try_iter().collect();
        for errand in &errands {
            let (grade, evidence) = answer(errand);
            let (ticket, evidence) = (errand.ticket, evidence.to_owned());
            self.watcher.take(Input::Carried(Carried { ticket, grade, evidence }));
        }
        errands
    }

    /// Has the tenant's next cut on this host take another id, as a host that lies does.
    pub fn claim(&self, tenant: TenantId, cut: CutId) {
        let known = self.reserve.take(tenant);
        let after_ms = known.map_or(0, |known| known.after_ms);
        self.reserve.give_back(tenant, Reserved { cut, after_ms });
    }

    /// The id that the tenant's next cut on this host takes, if a packet stands for it.
    #[must_use]
    pub fn reserved(&self, tenant: TenantId) -> Option<CutId> {
        self.reserve.of(tenant).map(|reserved| reserved.cut)
    }

    /// Gives it a message, as somebody in the network side would.
    pub fn give(&mut self, input: Input) {
        self.watcher.take(input);
    }

    /// Carries words and reports between controller and host until there are none.
    ///
    /// # Errors
    /// If the controller does not take a report.
    pub async fn meet(&mut self, host: HostId, controller: &Engine) -> anyhow::Result<()> {
        for row in controller.watches_to_tell(host).await? {
            match controller.watch_word(&row).await? {
                WatchWord::Packet(packet) => {
                    self.watcher.take(Input::Packet(packet, sync_channel(1).0));
                }
                WatchWord::Disarm(disarm) => self.watcher.take(Input::Disarm(disarm)),
            }
        }
        self.inbox.try_iter().for_each(|input| self.watcher.take(input));
        while let Ok(report) = self.said.try_recv() {
            match controller.watch_reported(host, report).await {
                Ok(receipt) => self.watcher.take(Input::Receipt(receipt)),
                // As a session does: the host is told so, and keeps its report.
                Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

type Begun = (Watcher, Receiver<WatchReport>, Receiver<Errand>);

type Begins = (PathBuf, Arc<Identity>, Clock);

fn begin((dir, identity, clock): &Begins, reserve: &Arc<Reserve>) -> Begun {
    let identity = Arc::clone(identity);
    let mut watcher = Watcher::open(dir, identity, clock.clone(), Arc::clone(reserve));
    let (outlet, said) = sync_channel(ROOM);
    let (courier, errands) = sync_channel(ROOM);
    watcher.take(Input::Connected(outlet));
    watcher.take(Input::Courier(courier));
    (watcher, said, errands)
}

impl Fleet {
    /// Makes it so late for the hosts alone: nothing falls due at the controller.
    pub fn set_time_of_hosts(&self, at: Timestamp) {
        self.time.set(at);
    }

    /// Where a host keeps packets.
    #[must_use]
    pub fn packets_of(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}-packets"))
    }

    /// The packet of a cut as a host would get it now, however its watch stands.
    ///
    /// # Errors
    /// If the controller has no such cut.
    pub async fn word_of(
        &self,
        cut: CutId,
        host: HostId,
        tenant: TenantId,
    ) -> anyhow::Result<WatchWord> {
        let ordered_at = self.controller.clock().now();
        let (state, reason) = (WatchState::Open, DisarmReason::Told);
        let (standing, counts, made_of) = (watch::Standing::No, cut, None);
        let row =
            WatchRow { cut, host, tenant, ordered_at, state, reason, standing, counts, made_of };
        Ok(self.controller.watch_word(&row).await?)
    }
}

/// What hosts do for a controller that is silent, after the usual time and by no real route.
#[must_use]
pub fn nowhere() -> watch::Watching {
    let fallback_after_ms = FALLBACK_AFTER_S.unsigned_abs() * 1000;
    watch::Watching { fallback_after_ms, routes: Routes::default() }
}

impl Member {
    /// An alarm as this host says it.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn signs(&self, alarm: Alarm) -> Result<SignedAlarm, SaidError> {
        self.identity.key.say(&HostAlarm { host: self.id, alarm })
    }
}
