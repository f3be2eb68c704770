use super::*;
use crate::{
    core::{sample, step::Host as _},
    host::fake::FakeHost,
};

fn tenants(records: &[TenantRecord]) -> BTreeMap<TenantId, TenantRecord> {
    records.iter().map(|record| (record.tenant, record.clone())).collect()
}

fn fresh(power: Power) -> TenantRecord {
    let mut record = sample::record(1, power);
    record.inventory.values_mut().for_each(|allocation| *allocation = Allocation::Begun);
    record
}

fn carry_out(host: &FakeHost, steps: &[Step]) {
    for step in steps {
        host.perform(step, &mut |_| {}).expect("the fake host does it");
    }
}

fn names(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(Step::name).collect()
}

#[test]
fn a_new_tenant_gets_policy_bridge_volumes_and_then_each_instance_behind_its_cut_entry() {
    let tenant = fresh(Power::Running);
    let steps = configure(&tenant, &tenants(std::slice::from_ref(&tenant)), &Observed::default());
    let steps = steps.expect("planned");
    assert_eq!(
        names(&steps),
        [
            "apply policy",
            "make bridge",
            "make volume",
            "make volume",
            "enlist tap",
            "make tap",
            "start instance",
            "enlist tap",
            "make tap",
            "start instance",
        ]
    );
}

#[test]
fn a_plan_of_a_state_that_is_already_so_is_empty() {
    for power in [Power::Running, Power::Stopped] {
        let host = FakeHost::default();
        let tenant = fresh(power);
        let all = tenants(std::slice::from_ref(&tenant));
        let look = || host.observe().expect("seen");
        carry_out(&host, &configure(&tenant, &all, &look()).expect("planned"));
        let made = sample::record(1, power);
        assert_eq!(configure(&made, &all, &look()), Ok(vec![]), "{power:?}");
    }
}

#[test]
fn from_every_point_of_a_plan_a_new_plan_leads_to_the_same_state() {
    let tenant = fresh(Power::Running);
    let all = tenants(std::slice::from_ref(&tenant));
    let whole = configure(&tenant, &all, &Observed::default()).expect("planned");
    let reference = FakeHost::default();
    carry_out(&reference, &whole);
    for stop in 0..whole.len() {
        let host = FakeHost::default();
        carry_out(&host, &whole[..stop]);
        carry_out(&host, &configure(&tenant, &all, &host.state()).expect("planned"));
        assert_eq!(host.state(), reference.state(), "after a crash at step {stop}");
    }
}

#[test]
fn a_stopped_instance_loses_its_tap_and_keeps_its_memory_and_volumes() {
    let host = FakeHost::default();
    let running = fresh(Power::Running);
    let all = tenants(std::slice::from_ref(&running));
    carry_out(&host, &configure(&running, &all, &host.state()).expect("planned"));
    let stopped = sample::record(1, Power::Stopped);
    let all = tenants(std::slice::from_ref(&stopped));
    let steps = configure(&stopped, &all, &host.state()).expect("planned");
    assert_eq!(
        names(&steps),
        ["stop instance", "remove tap", "delist tap", "stop instance", "remove tap", "delist tap"]
    );
    carry_out(&host, &steps);
    assert_eq!(host.state().volumes.len(), 2);
    assert_eq!(host.state().instances.len(), 2);
}

#[test]
fn a_volume_that_was_made_and_is_gone_is_never_made_again() {
    let tenant = sample::record(1, Power::Running);
    let all = tenants(std::slice::from_ref(&tenant));
    let error = configure(&tenant, &all, &Observed::default()).expect_err("refused");
    assert_eq!(error.code(), "volume-gone");
}

#[test]
fn the_policy_has_every_tenant_that_lives_and_none_that_does_not() {
    let (one, two) = (sample::record(1, Power::Running), sample::record(2, Power::Running));
    let both = policy(&tenants(&[one.clone(), two.clone()]), &ListKey::default());
    for record in [&one, &two] {
        for instance in &record.wanted.instances {
            assert!(both.contains(ruleset::tap_name(instance.instance).as_str()));
        }
    }
    let gone = TenantRecord { fate: Fate::Destroying, ..two };
    let left = policy(&tenants(&[one.clone(), gone]), &ListKey::default());
    assert_eq!(left, policy(&tenants(&[one]), &ListKey::default()));
}

#[test]
fn dismantling_leaves_nothing_of_the_tenant() {
    let host = FakeHost::default();
    let tenant = fresh(Power::Running);
    let all = tenants(std::slice::from_ref(&tenant));
    carry_out(&host, &configure(&tenant, &all, &host.state()).expect("planned"));
    carry_out(&host, &quiesce(&tenant, &host.state()));
    assert!(host.state().instances.values().all(|power| *power == Power::Stopped));
    let gone = TenantRecord { fate: Fate::Destroying, ..tenant };
    let none = tenants(std::slice::from_ref(&gone));
    carry_out(&host, &dismantle(&gone, &none, &host.state()));
    let state = host.state();
    assert!(state.taps.is_empty() && state.enlisted.is_empty() && state.bridges.is_empty());
    assert!(state.instances.is_empty());
    assert_eq!(dismantle(&gone, &none, &state), vec![]);
}

#[test]
fn steps_that_destroy_are_those_of_wipes() {
    let destroys = |step: &Step| step.destroys();
    let tenant = fresh(Power::Running);
    let all = tenants(std::slice::from_ref(&tenant));
    let steps = configure(&tenant, &all, &Observed::default()).expect("planned");
    assert!(!steps.iter().any(destroys));
    assert!(!quiesce(&tenant, &Observed::default()).iter().any(destroys));
}
