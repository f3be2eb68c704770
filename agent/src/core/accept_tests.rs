use proptest::prelude::*;
use tenure_protocol::wire::v1::{Peers, Power, Transport, VolumeWanted};

use super::*;
use crate::core::{
    record::{Change, IsolationRecord, OrderStage, WipeRecord, WipeStage},
    sample::{self, MIB},
};

const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000_000_000);

fn verdict(order: &Order, records: &Records) -> Admission {
    accept(order, Digest::of(b"x"), &Standing { host: sample::host(), now: NOW, records })
}

fn configure_order(id: u128, n: u128, generation: u64) -> Order {
    let wanted = sample::wanted(n, Power::Running);
    sample::order(id, n, generation, NOW, Action::Configure(wanted))
}

fn wipe_order(id: u128, generation: u64) -> Order {
    sample::order(id, 1, generation, NOW, Action::Wipe(sample::wipe(1, 1)))
}

fn record_of(order: &Order, digest: Digest, stage: OrderStage) -> OrderRecord {
    let signed = tenure_protocol::wire::order::SignedOrder { order: vec![], signature: vec![] };
    OrderRecord {
        id: order.id,
        tenant: order.tenant,
        digest,
        signed,
        journalled_at: NOW,
        expires_at: NOW,
        stage,
    }
}

fn with_tenant() -> Records {
    let mut records = Records::default();
    records.apply(Change::Tenant(sample::record(1, Power::Running)));
    records
}

fn refused(admission: Admission) -> &'static str {
    match admission {
        Admission::Refuse(refusal) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_known_order_is_answered_and_its_id_with_other_bytes_is_refused() {
    let order = configure_order(1, 1, 1);
    let mut records = Records::default();
    assert_eq!(verdict(&order, &records), Admission::Accept);
    records.apply(Change::Order(record_of(&order, Digest::of(b"x"), OrderStage::Accepted)));
    assert_eq!(verdict(&order, &records), Admission::Known);
    records.apply(Change::Order(record_of(&order, Digest::of(b"y"), OrderStage::Accepted)));
    assert_eq!(refused(verdict(&order, &records)), "digest-changed");
}

#[test]
fn orders_for_others_late_orders_and_stale_ones_are_refused() {
    let records = with_tenant();
    let mut other = configure_order(1, 1, 2);
    other.host = tenure_protocol::id::HostId::from_uuid(uuid::Uuid::from_u128(9));
    assert_eq!(refused(verdict(&other, &records)), "not-for-this-host");
    let mut late = configure_order(1, 1, 2);
    late.issued_at = NOW.plus_ms(-60_001);
    assert_eq!(refused(verdict(&late, &records)), "expired");
    assert_eq!(refused(verdict(&configure_order(1, 1, 1), &records)), "stale-generation");
    assert_eq!(verdict(&configure_order(1, 1, 2), &records), Admission::Accept);
}

#[test]
fn a_cut_is_taken_for_a_tenant_that_is_not_known_yet_but_never_out_of_order() {
    let mut records = Records::default();
    let cut = |generation| sample::order(1, 1, generation, NOW, Action::Cut(sample::cut(1)));
    assert_eq!(verdict(&cut(1), &records), Admission::Accept);
    records.apply(Change::Isolation(IsolationRecord {
        tenant: sample::tenant(1),
        mark: sample::cut(1).mark,
        generation: Generation(5),
        cut: sample::cut(1).cut,
        isolation: crate::core::record::Isolation::Connected,
    }));
    assert_eq!(refused(verdict(&cut(5), &records)), "stale-generation");
    assert_eq!(verdict(&cut(6), &records), Admission::Accept);
}

#[test]
fn a_wipe_must_name_all_that_the_host_has_and_nothing_of_others() {
    let records = with_tenant();
    assert_eq!(verdict(&wipe_order(1, 2), &records), Admission::Accept);
    let altered = |change: fn(&mut WipeOrder)| {
        let mut wipe = sample::wipe(1, 1);
        change(&mut wipe);
        refused(verdict(&sample::order(1, 1, 2, NOW, Action::Wipe(wipe)), &records))
    };
    assert_eq!(altered(|wipe| wipe.subjects.truncate(3)), "inventory-mismatch");
    assert_eq!(altered(|wipe| wipe.subjects.push(wipe.subjects[0])), "subjects-invalid");
    assert_eq!(altered(|wipe| wipe.subjects.clear()), "subjects-invalid");
    assert_eq!(altered(|wipe| wipe.approvals[1] = wipe.approvals[0]), "approvals-missing");
    let mut two = with_tenant();
    two.apply(Change::Tenant(sample::record(2, Power::Running)));
    let mut wipe = sample::wipe(1, 1);
    wipe.subjects.push(sample::wipe(2, 1).subjects[0]);
    let order = sample::order(1, 1, 2, NOW, Action::Wipe(wipe));
    assert_eq!(refused(verdict(&order, &two)), "foreign-allocation");
    let unknown = sample::order(1, 3, 2, NOW, Action::Wipe(sample::wipe(3, 1)));
    assert_eq!(refused(verdict(&unknown, &records)), "unknown-tenant");
}

#[test]
fn a_tenant_has_one_wipe_at_a_time_and_nothing_after_it() {
    let mut records = with_tenant();
    let first = wipe_order(1, 2);
    records.apply(Change::Order(record_of(&first, Digest::of(b"x"), OrderStage::Accepted)));
    records.apply(Change::Wipe(WipeRecord {
        order: first.id,
        stage: WipeStage::Planned,
        supersedes: None,
        subjects: vec![],
    }));
    assert_eq!(refused(verdict(&wipe_order(2, 3), &records)), "tenant-busy");
    assert_eq!(refused(verdict(&configure_order(2, 1, 3), &records)), "tenant-busy");
    let fate = Fate::Destroyed { at: NOW };
    let gone = TenantRecord { fate, ..sample::record(1, Power::Running) };
    records.apply(Change::Tenant(gone));
    assert_eq!(refused(verdict(&wipe_order(2, 3), &records)), "tenant-wiped");
    assert_eq!(refused(verdict(&configure_order(2, 1, 3), &records)), "tenant-wiped");
}

#[test]
fn a_wanted_state_that_orphans_resizes_or_takes_from_others_is_refused() {
    let records = with_tenant();
    let altered = |change: fn(&mut TenantWanted)| {
        let mut wanted = sample::wanted(1, Power::Running);
        change(&mut wanted);
        refused(verdict(&sample::order(1, 1, 2, NOW, Action::Configure(wanted)), &records))
    };
    assert_eq!(altered(|wanted| drop(wanted.instances.pop())), "allocation-missing");
    assert_eq!(
        altered(|wanted| wanted.instances[0].volumes[0].size_bytes += MIB),
        "volume-resized"
    );
    assert_eq!(altered(|wanted| wanted.mark.0 = 0), "mark-invalid");
    assert_eq!(altered(|wanted| wanted.mark.0 += 1), "mark-invalid");
    assert_eq!(altered(|wanted| wanted.instances[0].name = "Web 1".to_owned()), "wanted-invalid");
    assert_eq!(altered(|wanted| wanted.instances[0].nic.ip4 = [10, 9, 1, 1]), "wanted-invalid");
    assert_eq!(altered(|wanted| wanted.instances[0].memory_mib = 63), "wanted-invalid");
    let crowd = |wanted: &mut TenantWanted| {
        wanted.instances = (0..33)
            .map(|n| {
                let mut one = wanted.instances[0].clone();
                let id = uuid::Uuid::from_u128(0x5000 + n);
                one.instance = tenure_protocol::id::InstanceId::from_uuid(id);
                one.volumes[0].volume = tenure_protocol::id::VolumeId::from_uuid(id);
                one
            })
            .collect();
    };
    assert_eq!(altered(crowd), "subjects-invalid", "no more than one order can wipe");
    let mut foreign = sample::wanted(2, Power::Running);
    foreign.instances[0].volumes.push(VolumeWanted {
        volume: sample::wanted(1, Power::Running).instances[0].volumes[0].volume,
        size_bytes: MIB,
    });
    let order = sample::order(1, 2, 1, NOW, Action::Configure(foreign));
    assert_eq!(refused(verdict(&order, &records)), "foreign-allocation");
}

proptest! {
    /// Whatever the generation, ttl and age: total, and never accepts what is stale or late.
    #[test]
    fn nothing_stale_or_late_is_ever_accepted(
        generation in any::<u64>(), in_force in any::<u64>(), ttl in any::<u64>(),
        age in any::<i64>(),
    ) {
        let mut records = Records::default();
        let mut record = sample::record(1, Power::Running);
        record.generation = Generation(in_force);
        records.apply(Change::Tenant(record));
        let mut order = configure_order(1, 1, generation);
        order.ttl_ms = ttl;
        order.issued_at = NOW.plus_ms(age.checked_neg().unwrap_or(i64::MAX));
        if verdict(&order, &records) == Admission::Accept {
            prop_assert!(generation > in_force);
            prop_assert!(expires_at(&order) >= NOW);
        }
    }
}

#[test]
fn rules_that_nft_would_refuse_never_get_so_far() {
    let ports = |first, last, from, to| PacketRule {
        traffic: Traffic::Ports { transport: Transport::Tcp, first, last },
        peers: Peers { first: [10, 0, 0, from], last: [10, 0, 0, to] },
    };
    let verdict_on = |rules: Vec<PacketRule>, egress: bool| {
        let mut wanted = sample::wanted(1, Power::Running);
        let nic = &mut wanted.instances[0].nic;
        if egress {
            nic.egress = Egress::Only(rules);
        } else {
            nic.ingress = rules;
        }
        let order = sample::order(1, 1, 1, NOW, Action::Configure(wanted));
        verdict(&order, &Records::default())
    };
    let many = (1..=513).map(|port| ports(port, port, 1, 1)).collect();
    for bad in [
        vec![ports(0, 9, 1, 2)],
        vec![ports(9, 8, 1, 2)],
        vec![ports(8, 9, 2, 1)],
        vec![ports(8, 9, 1, 2), ports(9, 9, 2, 2)],
        many,
    ] {
        for egress in [false, true] {
            let found = verdict_on(bad.clone(), egress);
            assert!(matches!(found, Admission::Refuse(Refusal::WantedInvalid(_))), "{found:?}");
        }
    }
    let sound = vec![ports(8, 9, 1, 2), ports(9, 9, 3, 3), ports(10, 10, 1, 2)];
    assert_eq!(verdict_on(sound, true), Admission::Accept);
}
