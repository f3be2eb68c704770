//! The patrol: what others did to the packet filter or the devices is found, mended and told. A
//! nudge comes when the kernel tells of a change, and on every tick.
//!
//! ```text
//!   kernel's notification ─┐          ┌─► cut lane: guard ─┐
//!                          ├─► nudge ─┤                    ├─► herald: log, alarm
//!   tick ──────────────────┘          └─► patrol ──────────┘
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, SyncSender},
};

use super::{EngineFailure, Input, herald::Herald, work::WorkLane};
use crate::core::step::{Host, Step};

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
