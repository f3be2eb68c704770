//! What the hosts are told: a tenant's state turned into orders, each with the whole wanted state
//! of the tenant on that host. What passes follows from its security groups and from what is open
//! to it by the trial, formal operation and the ICP filing ([`super::group`]).

use std::collections::BTreeMap;

use tenure_protocol::{
    generation::Generation,
    id::{HostId, OrderId},
    wire::v1::{
        Action, CutOrder, InstanceWanted, Nic, Power, TenantWanted, VolumeWanted, WipeOrder,
    },
};

use super::{
    draw::Draw,
    fleet::Fleet,
    group::passing::{Passing, Rulebook},
    lifecycle::OrderDraft,
    tenant::{Allotment, Instance, OpenOrder, OrderFate, OrderKind, Tenant},
};

/// How long an order may still be accepted by its host, ms: a day. A host that was away for longer
/// refuses it, and is ordered again.
pub const TTL_MS: u64 = 86_400_000;

/// Drafts an order, hands out its generation, and remembers it in the tenant in place of the last
/// one of its kind to that host. Nothing if the tenant has no allotment or the kind needs a cut or
/// a wipe that is not there.
pub fn order(
    tenant: &mut Tenant,
    host: HostId,
    kind: OrderKind,
    fleet: &Fleet,
    draw: &mut Draw,
) -> Option<OrderDraft> {
    let action = action(tenant, host, kind, fleet, draw)?;
    let generations = tenant.generations.entry(host).or_default();
    let generation = match kind {
        OrderKind::Configure | OrderKind::Stop | OrderKind::Wipe => next(&mut generations.wanted),
        OrderKind::Cut | OrderKind::Restore => next(&mut generations.isolation),
    };
    let id = OrderId::from_uuid(draw.uuid());
    tenant.orders.retain(|order| order.host != host || order.kind != kind);
    tenant.orders.push(OpenOrder { id, host, kind, state: OrderFate::Open });
    Some(OrderDraft { id, host, generation, ttl_ms: TTL_MS, action })
}

fn next(generation: &mut Generation) -> Generation {
    *generation = generation.next();
    *generation
}

fn action(
    tenant: &Tenant,
    host: HostId,
    kind: OrderKind,
    fleet: &Fleet,
    draw: &mut Draw,
) -> Option<Action> {
    let allotment = tenant.allotment.as_ref()?;
    let cut = || tenant.last_cut().map(|cut| CutOrder { cut: cut.id, mark: allotment.mark });
    let wanted = |power| wanted(tenant, allotment, host, power, fleet);
    Some(match kind {
        OrderKind::Configure => Action::Configure(wanted(Power::Running)),
        OrderKind::Stop => Action::Configure(wanted(Power::Stopped)),
        OrderKind::Cut => Action::Cut(cut()?),
        OrderKind::Restore => Action::Restore(cut()?),
        OrderKind::Wipe => {
            let wipe = tenant.wipe.as_ref()?;
            Action::Wipe(WipeOrder {
                attempt: wipe.attempt,
                nonce: draw.bytes(),
                subjects: tenant.unproven(host),
                approvals: wipe.approvals.iter().map(|approval| approval.digest).collect(),
            })
        }
    })
}

fn wanted(
    tenant: &Tenant,
    allotment: &Allotment,
    host: HostId,
    power: Power,
    fleet: &Fleet,
) -> TenantWanted {
    let here = allotment.instances.iter().filter(|instance| instance.host == host);
    let book = Rulebook::of(tenant, &fleet.zones);
    let mut by_role: BTreeMap<&str, Passing> = BTreeMap::new();
    let instances = here.map(|instance| {
        let role = instance.role();
        let passing = by_role.entry(role).or_insert_with(|| book.of_role(role));
        instance_wanted(instance, power, passing.clone())
    });
    let instances = instances.collect();
    let thresholds = tenant.anomalies.thresholds.over(&fleet.thresholds);
    TenantWanted { mark: allotment.mark, network: allotment.network, instances, thresholds }
}

fn instance_wanted(instance: &Instance, power: Power, passing: Passing) -> InstanceWanted {
    let volumes = instance.volumes.iter();
    let Passing { ingress, egress } = passing;
    InstanceWanted {
        instance: instance.id,
        name: instance.name.clone(),
        vcpus: instance.vcpus,
        memory_mib: instance.memory_mib,
        power,
        boot: instance.boot.clone(),
        nic: Nic { mac: instance.mac, ip4: instance.ip4, ingress, egress },
        volumes: volumes
            .map(|volume| VolumeWanted { volume: volume.id, size_bytes: volume.size_bytes })
            .collect(),
    }
}
