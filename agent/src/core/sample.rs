//! Orders and tenants for tests.

use std::collections::BTreeMap;

use tenure_protocol::{
    digest::Digest,
    generation::Generation,
    id::{CutId, HostId, InstanceId, OrderId, TenantId, VolumeId},
    time::Timestamp,
    wire::v1::{
        Action, Boot, CutOrder, Egress, InstanceWanted, Mark, Network, Nic, Order, PacketRule,
        Power, TenantWanted, Thresholds, Transport, VolumeWanted, WipeOrder,
    },
};
use uuid::Uuid;

use super::{
    accept,
    record::{Allocation, Fate, TenantRecord},
};

pub(crate) const MIB: u64 = 1024 * 1024;

pub(crate) const THRESHOLDS: Thresholds = Thresholds {
    packets_per_s: 1_000,
    connections_per_s: 100,
    disk_bytes_per_s: 16 * MIB,
    steal_permille: 200,
};

pub(crate) fn host() -> HostId {
    HostId::from_uuid(Uuid::from_u128(0xb))
}

pub(crate) fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(0x7000 + n))
}

pub(crate) fn order_id(n: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(0xa000 + n))
}

pub(crate) fn instance(n: u128) -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(0x1000 + n))
}

/// Tenant `n` with two instances, each with a volume.
pub(crate) fn wanted(n: u128, power: Power) -> TenantWanted {
    let byte = u8::try_from(n).expect("small");
    let instances = (1..=2_u8)
        .map(|i| InstanceWanted {
            instance: instance(n * 16 + u128::from(i)),
            name: format!("web-{i}"),
            vcpus: 1,
            memory_mib: 128,
            power,
            boot: Boot {
                kernel: Digest::of(b"kernel"),
                initrd: Digest::of(b"initrd"),
                cmdline: "console=ttyS0".to_owned(),
            },
            nic: Nic {
                mac: [2, 0, 0, 0, byte, i],
                ip4: [10, 64, byte, 10 + i],
                ingress: vec![PacketRule::open(Transport::Tcp, 80)],
                egress: Egress::Everything,
            },
            volumes: vec![VolumeWanted {
                volume: VolumeId::from_uuid(Uuid::from_u128(0x2000 + n * 16 + u128::from(i))),
                size_bytes: 16 * MIB,
            }],
        })
        .collect();
    let network = Network { address: [10, 64, byte, 0], prefix: 24, gateway: [10, 64, byte, 1] };
    let mark = Mark(0x100 + u32::from(byte));
    TenantWanted { mark, network, instances, thresholds: THRESHOLDS }
}

pub(crate) fn order(id: u128, n: u128, generation: u64, now: Timestamp, action: Action) -> Order {
    Order {
        id: order_id(id),
        host: host(),
        tenant: tenant(n),
        generation: Generation(generation),
        issued_at: now,
        ttl_ms: 60_000,
        action,
    }
}

pub(crate) fn cut(n: u128) -> CutOrder {
    CutOrder { cut: CutId::from_uuid(Uuid::from_u128(0xc)), mark: wanted(n, Power::Running).mark }
}

pub(crate) fn wipe(n: u128, attempt: u32) -> WipeOrder {
    WipeOrder {
        attempt,
        nonce: [7; 32],
        subjects: accept::subjects_of(&wanted(n, Power::Running)).into_iter().collect(),
        approvals: vec![Digest::of(b"operator"), Digest::of(b"security")],
    }
}

pub(crate) fn record(n: u128, power: Power) -> TenantRecord {
    let wanted = wanted(n, power);
    let inventory: BTreeMap<_, _> =
        accept::subjects_of(&wanted).into_iter().map(|one| (one, Allocation::Made)).collect();
    TenantRecord {
        tenant: tenant(n),
        generation: Generation(1),
        wanted,
        inventory,
        fate: Fate::Live,
        last_intent: None,
    }
}
