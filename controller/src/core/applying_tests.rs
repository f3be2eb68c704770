//! Applications: what is refused with a sentence, and where instances go.

use super::*;

#[test]
fn instances_of_a_role_are_spread_and_without_room_an_approved_application_waits() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let mut full = World::new();
    full.fleet.hosts.iter_mut().for_each(|host| host.memory_taken = host.memory_bytes);
    full.apply(&mut tenant, &approve()).expect("approved all the same");
    assert_eq!(tenant.phase, Phase::Approved);
    let waiting = tenant.waiting.as_ref().expect("it says why");
    assert!(waiting.reason.contains("no host that is up has room"), "{waiting:?}");
    assert_eq!(tenant.wake_at, Some(full.now.plus_ms(60_000)), "it is tried again");
    assert_eq!(owed(&tenant, ObligationId::O4), ObligationState::Open, "and it is late some day");
    world.apply(&mut tenant, &Event::Tick).expect("room");
    assert_eq!((tenant.phase, &tenant.waiting), (Phase::Configuring, &None));
    assert_eq!(tenant.hosts().len(), 2);
    let given = tenant.allotment.as_ref().expect("given");
    assert_eq!((given.mark.0, given.network.address), (0x100, [10, 64, 0, 0]));
    assert_eq!(given.instances[1].ip4, [10, 64, 0, 11]);
}

#[test]
fn an_application_that_cannot_be_is_refused_with_a_sentence() {
    type Spoil = fn(&mut Application);
    let spoilt: [(Spoil, Code, &str); 8] = [
        (|form| form.instances[0].vcpus = 0, Code::InvalidApplication, "/instances/0/vcpus: "),
        (
            |form| form.instances[0].memory_mib = 63,
            Code::InvalidApplication,
            "/instances/0/memory_mib: ",
        ),
        (|form| form.instances[0].count = 0, Code::InvalidApplication, "/instances/0/count: "),
        (|form| form.instances[0].image = "no".to_owned(), Code::UnknownImage, "no image"),
        (|form| form.instances[0].role = "A b".to_owned(), Code::InvalidApplication, "role"),
        (|form| form.contacts.clear(), Code::InvalidApplication, "/contacts: "),
        (
            |form| form.contacts[0].email = Some("nobody".to_owned()),
            Code::InvalidApplication,
            "/contacts/0/email: ",
        ),
        (
            |form| form.instances.push(form.instances[0].clone()),
            Code::InvalidApplication,
            "stands twice",
        ),
    ];
    for (spoil, code, words) in spoilt {
        let mut form = application();
        spoil(&mut form);
        let mut world = World::new();
        let refusal = open(&form, &customer(), &world.context()).expect_err("not well formed");
        assert_eq!(refusal.code, code);
        assert!(refusal.sentence.contains(words), "{refusal}");
    }
}
