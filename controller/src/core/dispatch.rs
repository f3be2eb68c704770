//! What the hosts are told: a tenant's state turned into orders, each with the whole wanted state
//! of the tenant on that host. Which ports are open follows from the tenant alone: its zone, the
//! trial, formal operation, the ICP filing ([`Tenant::opens`]).

use tenure_protocol::{
    generation::Generation,
    id::{HostId, OrderId},
    wire::v1::{
        Action, CutOrder, IngressRule, InstanceWanted, Nic, Power, TenantWanted, VolumeWanted,
        WipeOrder,
    },
};

use super::{
    draw::Draw,
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
    draw: &mut Draw,
) -> Option<OrderDraft> {
    let action = action(tenant, host, kind, draw)?;
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

fn action(tenant: &Tenant, host: HostId, kind: OrderKind, draw: &mut Draw) -> Option<Action> {
    let allotment = tenant.allotment.as_ref()?;
    let cut = || tenant.last_cut().map(|cut| CutOrder { cut: cut.id, mark: allotment.mark });
    Some(match kind {
        OrderKind::Configure => Action::Configure(wanted(tenant, allotment, host, Power::Running)),
        OrderKind::Stop => Action::Configure(wanted(tenant, allotment, host, Power::Stopped)),
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

fn wanted(tenant: &Tenant, allotment: &Allotment, host: HostId, power: Power) -> TenantWanted {
    let here = allotment.instances.iter().filter(|instance| instance.host == host);
    TenantWanted {
        mark: allotment.mark,
        network: allotment.network,
        instances: here.map(|instance| instance_wanted(tenant, instance, power)).collect(),
    }
}

fn instance_wanted(tenant: &Tenant, instance: &Instance, power: Power) -> InstanceWanted {
    let volumes = instance.volumes.iter();
    let open = instance.ingress.iter().filter(|ingress| tenant.opens(ingress.zone));
    let mut ingress: Vec<IngressRule> = open.map(|ingress| (*ingress).into()).collect();
    ingress.sort();
    // A port that two zones ask for is one rule.
    ingress.dedup();
    InstanceWanted {
        instance: instance.id,
        name: instance.name.clone(),
        vcpus: instance.vcpus,
        memory_mib: instance.memory_mib,
        power,
        boot: instance.boot.clone(),
        nic: Nic { mac: instance.mac, ip4: instance.ip4, ingress },
        volumes: volumes
            .map(|volume| VolumeWanted { volume: volume.id, size_bytes: volume.size_bytes })
            .collect(),
    }
}
