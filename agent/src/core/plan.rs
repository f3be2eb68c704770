//! Plans: from wanted and observed state to steps. A plan of a state that is already so is empty.
//!
//! The order of steps is what keeps a guest from ever being on the network without its rules: the
//! policy first, the cut table's entry second, the tap third, the machine last; and back again the
//! other way round.

use std::collections::BTreeMap;

use tenure_protocol::{
    digest::Digest,
    id::{InstanceId, TenantId},
    wire::v1::{InstanceWanted, Power, WipeSubject},
};

use super::{
    observed::Observed,
    record::{Allocation, Fate, TenantRecord},
    ruleset::{self, ListKey, PolicyTap},
    step::{StartInstance, Step},
};

/// How long a guest may take to stop by itself, ms.
pub const STOP_GRACE_MS: u64 = 20_000;

/// Why a wanted state cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    /// A volume that was made is not there.
    #[error(
        "volume {0} was made on this host and its file is gone: it is not made again, \
         empty, in silence"
    )]
    VolumeGone(tenure_protocol::id::VolumeId),
}

impl PlanRefusal {
    /// Stable code, kebab-case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::VolumeGone(_) => "volume-gone",
        }
    }
}

/// The policy's text for all tenants of the host.
#[must_use]
pub fn policy(tenants: &BTreeMap<TenantId, TenantRecord>, key: &ListKey) -> String {
    let live = tenants.values().filter(|tenant| match tenant.fate {
        Fate::Live => true,
        Fate::Destroying | Fate::Destroyed { .. } => false,
    });
    let taps: Vec<PolicyTap> = live
        .flat_map(|tenant| {
            tenant.wanted.instances.iter().map(|instance| PolicyTap {
                tap: ruleset::tap_name(instance.instance),
                mark: tenant.wanted.mark,
                mac: instance.nic.mac,
                ip4: instance.nic.ip4,
                ingress: instance.nic.ingress.clone(),
                egress: instance.nic.egress.clone(),
            })
        })
        .collect();
    ruleset::policy(&taps, key)
}

/// The steps that bring `tenant` into its wanted state. `tenants` are all of the host, this one
/// with its new wanted state: the policy is always made for all.
///
/// # Errors
/// [`PlanRefusal`]; nothing was planned then.
pub fn configure(
    tenant: &TenantRecord,
    tenants: &BTreeMap<TenantId, TenantRecord>,
    observed: &Observed,
) -> Result<Vec<Step>, PlanRefusal> {
    let wanted = &tenant.wanted;
    let mut steps = Vec::new();
    for instance in &wanted.instances {
        stop(instance, observed, &mut steps);
    }
    apply_policy(tenants, observed, &mut steps);
    let bridge = ruleset::bridge_name(wanted.mark);
    let runs = |instance: &&InstanceWanted| instance.power == Power::Running;
    if wanted.instances.iter().any(|instance| runs(&instance))
        && !observed.bridges.contains(&bridge)
    {
        steps.push(Step::EnsureBridge { bridge: bridge.clone() });
    }
    for instance in &wanted.instances {
        for volume in &instance.volumes {
            let subject =
                WipeSubject::Volume { instance: instance.instance, volume: volume.volume };
            let made = tenant.inventory.get(&subject) == Some(&Allocation::Made);
            match (made, observed.volumes.contains(&volume.volume)) {
                (true, true) => {}
                (true, false) => return Err(PlanRefusal::VolumeGone(volume.volume)),
                // A file without a record of its completion is what an earlier try left.
                (false, _) => steps.push(Step::CreateVolume {
                    volume: volume.volume,
                    size_bytes: volume.size_bytes,
                }),
            }
        }
    }
    for instance in wanted.instances.iter().filter(runs) {
        start(tenant, instance, &bridge, observed, &mut steps);
    }
    Ok(steps)
}

/// Stops an instance and takes its tap away. Its memory file stays: it is wiped by order only.
fn stop(instance: &InstanceWanted, observed: &Observed, steps: &mut Vec<Step>) {
    if instance.power != Power::Stopped {
        return;
    }
    if observed.instances.get(&instance.instance) == Some(&Power::Running) {
        let grace_ms = STOP_GRACE_MS;
        steps.push(Step::Stop { instance: instance.instance, grace_ms });
    }
    unplug(instance.instance, observed, steps);
}

fn unplug(instance: InstanceId, observed: &Observed, steps: &mut Vec<Step>) {
    let tap = ruleset::tap_name(instance);
    if observed.taps.contains(&tap) {
        steps.push(Step::RemoveTap { tap: tap.clone() });
    }
    if observed.enlisted.contains_key(&tap) {
        steps.push(Step::Delist { tap });
    }
}

fn start(
    tenant: &TenantRecord,
    instance: &InstanceWanted,
    bridge: &str,
    observed: &Observed,
    steps: &mut Vec<Step>,
) {
    let tap = ruleset::tap_name(instance.instance);
    if observed.enlisted.get(&tap) != Some(&tenant.wanted.mark) {
        steps.push(Step::Enlist { tap: tap.clone(), mark: tenant.wanted.mark });
    }
    if !observed.taps.contains(&tap) {
        steps.push(Step::EnsureTap { tap: tap.clone(), bridge: bridge.to_owned() });
    }
    if observed.instances.get(&instance.instance) != Some(&Power::Running) {
        steps.push(Step::Start(Box::new(StartInstance {
            tenant: tenant.tenant,
            network: tenant.wanted.network,
            wanted: instance.clone(),
            tap,
            bridge: bridge.to_owned(),
        })));
    }
}

/// The policy, if the one in force is another.
pub fn apply_policy(
    tenants: &BTreeMap<TenantId, TenantRecord>,
    observed: &Observed,
    steps: &mut Vec<Step>,
) {
    let text = policy(tenants, &observed.list_key);
    if observed.policy != Some(Digest::of(text.as_bytes())) {
        steps.push(Step::ApplyPolicy { text });
    }
}

/// The steps that leave nothing of a tenant running, with proof of death. Killing what is dead is
/// cheap, and an instance that nobody sees may still have a process: all are killed.
#[must_use]
pub fn quiesce(tenant: &TenantRecord, observed: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    for instance in &tenant.wanted.instances {
        steps.push(Step::Kill { instance: instance.instance });
        unplug(instance.instance, observed, &mut steps);
    }
    steps
}

/// What is taken away once every subject of the tenant is proved to be wiped. `tenants` are all of
/// the host, this one marked as destroyed.
#[must_use]
pub fn dismantle(
    tenant: &TenantRecord,
    tenants: &BTreeMap<TenantId, TenantRecord>,
    observed: &Observed,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for instance in &tenant.wanted.instances {
        unplug(instance.instance, observed, &mut steps);
        if observed.instances.contains_key(&instance.instance) {
            steps.push(Step::RemoveInstance { instance: instance.instance });
        }
    }
    let bridge = ruleset::bridge_name(tenant.wanted.mark);
    if observed.bridges.contains(&bridge) {
        steps.push(Step::RemoveBridge { bridge });
    }
    apply_policy(tenants, observed, &mut steps);
    steps
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
