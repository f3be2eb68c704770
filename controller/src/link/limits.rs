//! What one host may send. A host over a limit is told which, and its session ends. It is counted
//! by host, so that a new session does not begin anew, and no host is held back for another.
//!
//! Frames have a limit of their own (1 MiB, [`tenure_protocol::wire::frame`]). What is kept of a
//! host is its last Hello and its last observation, one word for each order, and the envelopes of
//! an order's one end and, for a wipe, of its one intent.

use tenure_protocol::{
    id::HostId,
    time::Timestamp,
    wire::v1::{Hello, MAX_ALARM_BYTES, Observation, OrderState, Report, SignedAlarm},
};

use super::pace::{Limit, Paces};

/// Sessions: an agent waits for a quarter of a second at first, and then longer and longer.
const SESSIONS: Limit = Limit { burst: 30, pause_ms: 2_000 };
/// Frames on the control stream: a keep-alive is due every 5 s.
const CONTROL: Limit = Limit { burst: 30, pause_ms: 1_000 };
/// Reports, of both lanes together. An agent may have 4,096 without a receipt, and says up to 1,024
/// of them again every 3 s.
const REPORTS: Limit = Limit { burst: 16_384, pause_ms: 3 };
/// Alarms: an agent says two every 5 s, again and again until they are received. Each is a row of
/// the journal and of the ledger.
const ALARMS: Limit = Limit { burst: 64, pause_ms: 2_000 };
/// Hosts that are held in mind: more than one controller is made for.
const MAX_LIMITED_HOSTS: usize = 65_536;
/// Bytes of one word in a Hello: a version, a boot id, a kernel.
const MAX_WORD_BYTES: usize = 128;
/// Instances, and marks that are cut, in one observation.
const MAX_OBSERVED: usize = 2_048;
/// Envelopes of one report.
const MAX_ENVELOPES: usize = 1_024;

/// A host sent more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the limit of what one host may send: {0}; update the agent, or look who has its key")]
pub(super) struct OverLimit(&'static str);

/// How much each host has sent of late.
#[derive(Debug)]
pub(super) struct HostLimits {
    sessions: Paces<HostId>,
    control: Paces<HostId>,
    reports: Paces<HostId>,
    alarms: Paces<HostId>,
}

impl Default for HostLimits {
    fn default() -> Self {
        let paces = |limit| Paces::new(limit, MAX_LIMITED_HOSTS);
        Self {
            sessions: paces(SESSIONS),
            control: paces(CONTROL),
            reports: paces(REPORTS),
            alarms: paces(ALARMS),
        }
    }
}

impl HostLimits {
    /// One more session.
    pub(super) fn session(&self, host: HostId, now: Timestamp) -> Result<(), OverLimit> {
        held(self.sessions.take(host, now), "sessions, more than one in 2 s")
    }

    /// One more frame on the control stream.
    pub(super) fn control(&self, host: HostId, now: Timestamp) -> Result<(), OverLimit> {
        held(self.control.take(host, now), "control frames, more than one in 1 s")
    }

    /// One more alarm, and whether it is of a size that is kept.
    pub(super) fn alarm(
        &self,
        host: HostId,
        alarm: &SignedAlarm,
        now: Timestamp,
    ) -> Result<(), OverLimit> {
        held(alarm.size() <= MAX_ALARM_BYTES, "5,120 bytes in one alarm")?;
        held(self.alarms.take(host, now), "alarms, more than one in 2 s")
    }

    /// One more frame on a lane.
    pub(super) fn report(&self, host: HostId, now: Timestamp) -> Result<(), OverLimit> {
        held(self.reports.take(host, now), "reports, more than 333 in 1 s")
    }
}

fn held(fits: bool, what: &'static str) -> Result<(), OverLimit> {
    if fits { Ok(()) } else { Err(OverLimit(what)) }
}

/// Whether a Hello is of a size that is kept.
pub(super) fn hello(hello: &Hello) -> Result<(), OverLimit> {
    let Hello { agent_version, boot_id, facts } = hello;
    let words = [agent_version, boot_id, &facts.accelerator, &facts.kernel];
    held(words.iter().all(|word| word.len() <= MAX_WORD_BYTES), "a word of 128 bytes in its Hello")
}

/// Whether an observation is of a size that is kept.
pub(super) fn observation(seen: &Observation) -> Result<(), OverLimit> {
    let most = seen.instances.len().max(seen.cut.len());
    held(most <= MAX_OBSERVED, "2,048 instances or cuts in one observation")
}

/// Whether a report is of a size that is kept; texts are cut short elsewhere.
pub(super) fn report(report: &Report) -> Result<(), OverLimit> {
    let envelopes = match &report.state {
        OrderState::Done { envelopes, .. }
        | OrderState::Failed { envelopes, .. }
        | OrderState::Local { envelopes }
        | OrderState::Unmade { envelopes, .. } => envelopes.len(),
        OrderState::Journalled
        | OrderState::Started
        | OrderState::Progress(_)
        | OrderState::Intent { .. }
        | OrderState::Refused { .. } => 0,
    };
    held(envelopes <= MAX_ENVELOPES, "1,024 envelopes in one report")
}
