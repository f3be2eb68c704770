//! The herald: what the patrol, the cut lane and the sampler find is told in the log, and to the
//! controller as an alarm.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tenure_protocol::{
    id::TenantId,
    wire::v1::{AlarmKind, Mark},
};

use super::{Sequence, lock};
use crate::{
    alarm::Alarms,
    clock::Clock,
    core::{
        anomaly::Anomaly,
        drift::Drift,
        step::{HostFailure, Performed},
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

    /// Tells that something is too much, or is so no longer.
    pub(super) fn announce(&self, anomaly: Anomaly) {
        let alarm = anomaly.alarm(self.sequence.next(), self.clock.now());
        tracing::error!(
            kind = alarm.kind.as_str(),
            subject = alarm.subject,
            tenant = alarm.tenant.map(|tenant| tenant.to_string()),
            over = alarm.repaired,
            "ALARM: an anomaly: {}",
            alarm.what
        );
        self.alarms.raise(alarm);
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
