//! The patrol: what others did to the packet filter or the devices is found, mended and told. A
//! nudge comes when the kernel tells of a change, and on every tick.
//!
//! ```text
//!   kernel's notification ─┐          ┌─► cut lane: guard ─┐
//!                          ├─► nudge ─┤                    ├─► herald: log, alarm
//!   tick ──────────────────┘          └─► patrol ──────────┘
//! ```

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender},
    },
};

use tenure_protocol::{
    id::TenantId,
    wire::v1::{AlarmKind, Mark},
};

use super::{EngineFailure, Input, Sequence, lock, work::WorkLane};
use crate::{
    alarm::Alarms,
    clock::Clock,
    core::{
        drift::Drift,
        step::{Host, HostFailure, Performed, Step},
    },
};

/// Tells of what was found: in the log, and to the controller.
#[derive(Debug)]
pub(super) struct Herald {
    alarms: Arc<Alarms>,
    sequence: Arc<Sequence>,
    clock: Clock,
    /// What was told and is not repaired: it is told again when it is another thing.
    standing: Mutex<BTreeMap<(AlarmKind, String), String>>,
}

impl Herald {
    pub(super) fn new(alarms: Arc<Alarms>, sequence: Arc<Sequence>, clock: Clock) -> Self {
        Self { alarms, sequence, clock, standing: Mutex::default() }
    }

    /// Tells what a step found, and of a step that could not look.
    pub(super) fn proclaim(
        &self,
        performed: Result<Performed, HostFailure>,
        tenant_of: impl Fn(Mark) -> Option<TenantId>,
    ) {
        match performed {
            Ok(Performed::Found(drifts)) => {
                drifts.into_iter().for_each(|drift| self.tell(drift, &tenant_of));
            }
            Ok(other) => tracing::error!(?other, "the host answered a patrol with something else"),
            Err(error) => {
                tracing::error!(code = error.code, "the packet filter cannot be watched: {error}");
            }
        }
    }

    fn tell(&self, drift: Drift, tenant_of: impl Fn(Mark) -> Option<TenantId>) {
        let of = (drift.kind, drift.subject.clone());
        let mut standing = lock(&self.standing);
        if drift.repaired {
            standing.remove(&of);
        } else if standing.insert(of, drift.what.clone()).as_ref() == Some(&drift.what) {
            return;
        }
        drop(standing);
        let tenant = drift.mark.and_then(tenant_of);
        let alarm = drift.alarm(self.sequence.next(), self.clock.now(), tenant);
        let culprit = alarm.culprit.as_ref();
        tracing::error!(
            kind = alarm.kind.as_str(),
            subject = alarm.subject,
            pid = culprit.map(|culprit| culprit.pid),
            command = culprit.map(|culprit| culprit.command.as_str()),
            repaired = alarm.repaired,
            "ALARM: not as the agent made it: {}",
            alarm.what
        );
        self.alarms.raise(alarm);
    }
}

/// The thread that is nudged.
pub(super) struct Patrol {
    pub(super) host: Arc<dyn Host>,
    pub(super) work_lane: Arc<WorkLane>,
    pub(super) cut: SyncSender<Input>,
    pub(super) herald: Arc<Herald>,
    pub(super) stopped: Arc<AtomicBool>,
}

impl Patrol {
    pub(super) fn run(&self, nudges: &Receiver<()>) -> Result<(), EngineFailure> {
        while nudges.recv().is_ok() && !self.stopped.load(Ordering::Relaxed) {
            // With a full inbox there is a tick in it.
            let _ = self.cut.try_send(Input::Drift);
            self.look();
        }
        Ok(())
    }

    pub(super) fn look(&self) {
        let marks = self.work_lane.marks();
        let found = self.host.perform(&Step::Patrol, &mut |_| {});
        self.herald.proclaim(found, |mark| marks.get(&mark).copied());
    }
}
