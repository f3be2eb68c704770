//! The sampler: counters are read every [`INTERVAL`], and what begins or ends to be an anomaly is
//! told. It has a thread of its own, and holds nobody up.

use std::{
    sync::{Arc, mpsc::Receiver},
    time::Duration,
};

use super::{EngineFailure, herald::Herald, work::WorkLane};
use crate::{
    clock::Clock,
    core::{anomaly::Watch, step::Host},
};

/// How far samples are apart: with [`crate::core::anomaly::BEGIN`] of them a flood is told after
/// 6 s.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// The thread that samples.
pub(super) struct Sampler {
    pub(super) host: Arc<dyn Host>,
    pub(super) work_lane: Arc<WorkLane>,
    pub(super) herald: Arc<Herald>,
    pub(super) clock: Clock,
}

impl Sampler {
    pub(super) fn run(&self, ended: &Receiver<()>) -> Result<(), EngineFailure> {
        let mut watch = Watch::default();
        while self.clock.wait(INTERVAL, ended) {
            self.look(&mut watch);
        }
        Ok(())
    }

    pub(super) fn look(&self, watch: &mut Watch) {
        match self.host.sample() {
            Ok(sample) => {
                let found = watch.judge(sample, &self.work_lane.watched());
                found.into_iter().for_each(|anomaly| self.herald.announce(anomaly));
            }
            Err(error) => tracing::warn!(code = error.code, "nothing is counted: {error}"),
        }
    }
}
