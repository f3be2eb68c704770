//! Thresholds, rules of two persons, and what an alarm comes to.

use std::num::NonZeroU64;

use tenure_protocol::{
    id::TenantId,
    wire::v1::{Action, Alarm, AlarmKind, Figures, Measure, Thresholds},
};

use super::*;
use crate::core::anomaly::{self, COOL_DOWN_MS, FRESH_MS, OwnThresholds, SiteThresholds};

pub(super) fn propose(kinds: &[AlarmKind]) -> Event {
    Event::ProposeCutRule { kinds: kinds.iter().copied().collect(), reason: said("a botnet") }
}

pub(super) fn own(packets_per_s: u64) -> OwnThresholds {
    OwnThresholds { packets_per_s: NonZeroU64::new(packets_per_s), ..OwnThresholds::default() }
}

/// A flood of packets that a tenant sends unasked, just now.
fn flood(tenant: &Tenant, now: Timestamp) -> Alarm {
    let figures = Figures {
        measure: Measure::PacketsUnasked,
        rate: 900_000,
        threshold: 200_000,
        window_ms: 6_000,
    };
    Alarm {
        sequence: 1,
        at: now,
        kind: AlarmKind::PacketFlood,
        subject: said("tap-00000001"),
        tenant: Some(tenant.id),
        what: said("many"),
        culprit: None,
        repaired: false,
        dropped: 0,
        figures: Some(figures),
    }
}

/// A tenant for whose packets two persons have signed.
fn signed(world: &mut World) -> Tenant {
    let mut tenant = world.on_trial();
    let rule = propose(&[AlarmKind::PacketFlood, AlarmKind::ConnectionFlood]);
    world.by(&mut tenant, Role::Operator, "sun", &rule).expect("proposed");
    world.by(&mut tenant, Role::Security, "qian", &Event::ConfirmCutRule).expect("confirmed");
    tenant
}

fn refused(outcome: Result<Vec<Effect>, Refusal>) -> Code {
    outcome.expect_err("refused").code
}

#[test]
fn a_rule_is_proposed_by_one_and_in_force_by_another_person_alone() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let confirm = Event::ConfirmCutRule;
    let by = |world: &mut World, tenant: &mut Tenant, name, event: &Event| {
        world.by(tenant, Role::Operator, name, event)
    };
    assert_eq!(refused(by(&mut world, &mut tenant, "sun", &confirm)), Code::NothingToConfirm);
    let mixed = [AlarmKind::PacketFlood, AlarmKind::PacketFilter];
    for kinds in [&[][..], &[AlarmKind::CpuSteal], &mixed] {
        let refusal = by(&mut world, &mut tenant, "sun", &propose(kinds)).expect_err("refused");
        assert_eq!(refusal.code, Code::InvalidInput);
        assert!(refusal.sentence.contains("packet-flood, connection-flood"), "{refusal}");
    }
    let rule = propose(&[AlarmKind::PacketFlood]);
    by(&mut world, &mut tenant, "sun", &rule).expect("proposed");
    assert!(tenant.anomalies.in_force.is_none(), "one person's word alone");
    assert_eq!(refused(by(&mut world, &mut tenant, "sun", &confirm)), Code::SeparationOfDuties);
    let security = world.by(&mut tenant, Role::Security, "sun", &confirm);
    assert_eq!(refused(security), Code::SeparationOfDuties, "the same person, in another role");
    let customer = world.by(&mut tenant, Role::Customer, "li", &rule);
    assert_eq!(refused(customer), Code::WrongRole);
    by(&mut world, &mut tenant, "feng", &confirm).expect("confirmed");
    let rule = tenant.anomalies.in_force.clone().expect("in force");
    assert_eq!((rule.proposal.by.as_str(), rule.confirmed_by.as_str()), ("sun", "feng"));
    // What is proposed next changes nothing until it is confirmed.
    by(&mut world, &mut tenant, "feng", &propose(&[AlarmKind::DiskSaturation])).expect("proposed");
    assert_eq!(tenant.anomalies.in_force, Some(rule));
    let withdraw = Event::WithdrawCutRule { reason: said("mended") };
    by(&mut world, &mut tenant, "sun", &withdraw).expect("taken back");
    assert_eq!(tenant.anomalies, anomaly::Anomalies::default());
    assert_eq!(refused(by(&mut world, &mut tenant, "sun", &withdraw)), Code::AlreadyDecided);
}

#[test]
fn thresholds_of_a_tenants_own_go_to_its_hosts_at_once_and_what_is_left_out_is_the_sites() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let site = SiteThresholds::default();
    let set = |thresholds| Event::SetThresholds { thresholds };
    let effects = world.apply(&mut tenant, &set(own(7))).expect("set");
    let told: Vec<Thresholds> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Order(draft) => match &draft.action {
                Action::Configure(wanted) => Some(wanted.thresholds),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let wanted = Thresholds { packets_per_s: 7, ..OwnThresholds::default().over(&site) };
    assert_eq!(told, vec![wanted; tenant.hosts().len()]);
    assert_eq!(world.apply(&mut tenant, &set(own(7))).expect("set"), [], "they have it");
    let never = OwnThresholds { steal_permille: NonZeroU64::new(1001), ..own(1) };
    let refusal = world.apply(&mut tenant, &set(never)).expect_err("refused");
    assert!(refusal.sentence.contains("1000 at most"), "{refusal}");
    assert!(site.check().is_ok() && own(u64::MAX).check().is_err());
    let text = r#"{"packets_per_s": 0}"#;
    assert!(serde_json::from_str::<OwnThresholds>(text).is_err(), "no threshold is 0");
    let text = r#"{"packets": 1}"#;
    assert!(serde_json::from_str::<OwnThresholds>(text).is_err());
}

#[test]
fn an_alarm_cuts_by_a_rule_with_its_figures_and_both_names_in_the_reason() {
    let mut world = World::new();
    let mut tenant = signed(&mut world);
    let host = *tenant.hosts().first().expect("a host");
    let (site, now) = (SiteThresholds::default(), world.now);
    let alarm = flood(&tenant, now);
    let reason = anomaly::answer(&tenant, host, &alarm, &site, now).expect("it cuts");
    for words in [
        "900000",
        "200000",
        "6 s",
        "每秒发出超过收到的数据包",
        "proposed by sun",
        "confirmed by qian",
    ] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    let cut = Event::Cut { kind: CutKind::Emergency, reason: reason.clone() };
    let effects = world.by(&mut tenant, Role::Controller, "controller", &cut).expect("cut");
    let is = |wanted: fn(&Effect) -> bool| effects.iter().filter(|effect| wanted(effect)).count();
    assert_eq!(is(|effect| matches!(effect, Effect::Order(_))), tenant.hosts().len());
    assert!(is(|effect| matches!(effect, Effect::Arm(_))) > 0, "the customer is told");
    assert!(is(|effect| matches!(effect, Effect::Watch { .. })) > 0, "by hosts, if need be");
    assert_eq!(anomaly::answer(&tenant, host, &alarm, &site, now), None, "it is cut already");
    world.obey(&mut tenant);
    let owed = owed(&tenant, ObligationId::O12b);
    assert_eq!(owed, ObligationState::Open, "five minutes, as after any emergency cut");
    assert_eq!(tenant.last_cut().map(|cut| cut.reason.as_str()), Some(reason.as_str()));
    let mend = Event::Restore { reason: said("mended") };
    world.by(&mut tenant, Role::Operator, "sun", &mend).expect("restored");
    assert_eq!(anomaly::answer(&tenant, host, &alarm, &site, world.now), None, "not restored yet");
    world.obey(&mut tenant);
    assert_eq!(tenant.isolation, Isolation::Connected);
    let again = |world: &World| {
        let alarm = flood(&tenant, world.now);
        anomaly::answer(&tenant, host, &alarm, &site, world.now).is_some()
    };
    world.now = world.now.plus_ms(COOL_DOWN_MS - 1);
    assert!(!again(&world), "it does not flap");
    // The hosts' commit of the restore was a moment after its order.
    world.now = world.now.plus_ms(60_000);
    assert!(again(&world));
}

#[test]
fn no_other_alarm_cuts_whatever_a_host_says() {
    let mut world = World::new();
    let tenant = signed(&mut world);
    let (site, now) = (SiteThresholds::default(), world.now);
    let host = *tenant.hosts().first().expect("a host");
    let stranger = HostId::from_uuid(Uuid::from_u128(99));
    let good = flood(&tenant, now);
    let figures = good.figures.expect("figures");
    let with = |figures| Alarm { figures: Some(figures), ..good.clone() };
    let cuts = |host, alarm: &Alarm| anomaly::answer(&tenant, host, alarm, &site, now).is_some();
    assert!(cuts(host, &good));
    assert!(!cuts(stranger, &good), "a tenant that is not on this host");
    let other = TenantId::from_uuid(Uuid::from_u128(1));
    for (why, alarm) in [
        ("over", Alarm { repaired: true, ..good.clone() }),
        ("another tenant", Alarm { tenant: Some(other), ..good.clone() }),
        ("nobody", Alarm { tenant: None, ..good.clone() }),
        ("late", Alarm { at: now.plus_ms(-FRESH_MS - 1), ..good.clone() }),
        ("ahead", Alarm { at: now.plus_ms(FRESH_MS + 1), ..good.clone() }),
        ("no figures", Alarm { figures: None, ..good.clone() }),
        ("another kind", Alarm { kind: AlarmKind::DiskSaturation, ..good.clone() }),
        ("what it answers", with(Figures { measure: Measure::PacketsSent, ..figures })),
        ("what it is sent", with(Figures { measure: Measure::PacketsReceived, ..figures })),
        ("a measure of another kind", with(Figures { measure: Measure::DiskBytes, ..figures })),
        ("not too much", with(Figures { rate: 200_000, threshold: 1, ..figures })),
    ] {
        assert!(!cuts(host, &alarm), "{why}");
    }
    let mut unsigned = world.on_trial();
    let alarm = flood(&unsigned, world.now);
    assert_eq!(anomaly::answer(&unsigned, host, &alarm, &site, world.now), None, "no rule");
    let rule = propose(&[AlarmKind::PacketFlood]);
    world.by(&mut unsigned, Role::Operator, "sun", &rule).expect("proposed");
    assert_eq!(anomaly::answer(&unsigned, host, &alarm, &site, world.now), None, "one person's");
    let cut = Event::Cut { kind: CutKind::Emergency, reason: said("flood") };
    let alone = world.by(&mut unsigned, Role::Controller, "controller", &cut);
    assert_eq!(refused(alone), Code::WrongRole, "the controller cuts by no word of its own");
}
