use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use proptest::prelude::*;
use tenure_protocol::{
    digest::Digest,
    id::{HostId, NoticeId},
    time::Timestamp,
    wire::v1::{self, CommitInterval, Power},
};
use uuid::Uuid;

use super::*;
use crate::core::{
    fleet::{HostRoom, Image},
    notice::{Grade, NoticeState},
    obligation::{ObligationId, ObligationState},
    tenant::{Contact, InstanceRequest, Isolation, Phase, System},
};

const START: &str = "2026-09-01T01:00:00Z";

struct World {
    calendar: Calendar,
    rules: Rules,
    provider: Provider,
    fleet: Fleet,
    filed: BTreeSet<Digest>,
    now: Timestamp,
    turn: u8,
}

impl World {
    fn new() -> Self {
        let room = |number: u128| HostRoom {
            id: HostId::from_uuid(Uuid::from_u128(number)),
            name: format!("host-{number}"),
            cpus: 8,
            memory_bytes: 8 << 30,
            volume_bytes: 8 << 30,
            vcpus_taken: 0,
            memory_taken: 0,
            volume_taken: 0,
            instances: 0,
        };
        let image = Image {
            name: "small".to_owned(),
            kernel: Digest::of(b"kernel"),
            initrd: Digest::of(b"initrd"),
            cmdline: String::new(),
        };
        let fleet =
            Fleet { hosts: vec![room(1), room(2)], images: vec![image], ..Fleet::default() };
        let calendar = Calendar::shipped().expect("a calendar");
        let rules = Rules::shipped().expect("rules");
        let filed = BTreeSet::from([document().sha256]);
        let desk = |name: &str| Contact {
            name: name.to_owned(),
            email: Some(format!("{name}@cloud.example")),
            ..Contact::default()
        };
        let provider = Provider { contacts: vec![desk("duty")], second: vec![desk("head")] };
        let now = START.parse().expect("an instant");
        Self { calendar, rules, provider, fleet, filed, now, turn: 0 }
    }

    fn context(&mut self) -> Context<'_> {
        self.turn = self.turn.wrapping_add(1);
        Context {
            now: self.now,
            real_now: self.now,
            seed: [self.turn; 32],
            calendar: &self.calendar,
            rules: &self.rules,
            provider: &self.provider,
            fleet: &self.fleet,
            filed: &self.filed,
        }
    }

    fn apply(&mut self, tenant: &mut Tenant, event: &Event) -> Result<Vec<Effect>, Refusal> {
        let actor = actor_for(event, "zhao");
        let transition = apply(tenant, event, &actor, &self.context())?;
        *tenant = transition.tenant;
        Ok(transition.effects)
    }

    fn submitted(&mut self) -> Tenant {
        let customer = customer();
        open(&application(), &customer, &self.context()).expect("well formed").tenant
    }

    /// Answers every open order as a sound host does.
    fn obey(&mut self, tenant: &mut Tenant) {
        for event in answers(tenant, self.now) {
            self.apply(tenant, &event).expect("a sound report");
        }
    }

    fn on_trial(&mut self) -> Tenant {
        let mut tenant = self.submitted();
        self.apply(&mut tenant, &approve()).expect("approved");
        self.obey(&mut tenant);
        let notice = tenant.handover[0];
        let event = Event::NoticeDelivered { notice, grade: Grade::E2, at: self.now };
        self.apply(&mut tenant, &event).expect("delivered");
        assert_eq!(tenant.phase, Phase::Trial);
        tenant
    }
}

fn customer() -> Actor {
    Actor { name: "li".to_owned(), role: Role::Customer, customer: Some("bureau".to_owned()) }
}

fn actor_for(event: &Event, name: &str) -> Actor {
    match admit::roles(event)[0] {
        Role::Customer => customer(),
        Role::Controller => Actor::controller(),
        role => Actor { name: name.to_owned(), role, customer: None },
    }
}

fn application() -> Application {
    Application {
        customer: "bureau".to_owned(),
        system: System {
            name: "portal".to_owned(),
            code: "P".to_owned(),
            major: false,
            internet_facing: true,
        },
        contacts: vec![Contact {
            name: "desk".to_owned(),
            email: Some("desk@bureau.example".to_owned()),
            ..Contact::default()
        }],
        instances: vec![InstanceRequest {
            role: "web".to_owned(),
            count: 2,
            vcpus: 1,
            memory_mib: 128,
            image: "small".to_owned(),
            volumes_gib: vec![],
            volumes_mib: vec![16],
            ingress: vec![],
        }],
        form: serde_json::Value::Null,
    }
}

fn approve() -> Event {
    Event::Review { decision: Decision::Approve, opinion: "sound".to_owned() }
}

fn document() -> Document {
    Document { title: "report".to_owned(), sha256: Digest::of(b"report") }
}

fn events(now: Timestamp) -> Vec<Event> {
    let host = HostId::from_uuid(Uuid::from_u128(1));
    let order = tenure_protocol::id::OrderId::from_uuid(Uuid::from_u128(7));
    vec![
        Event::Submit { application: application() },
        approve(),
        Event::RetryConfiguration,
        Event::DeclareDeployment,
        Event::SubmitReports { test_report: document(), security_report: document() },
        Event::ReviewReports { decision: ReportsDecision::Pass, opinion: "sound".to_owned() },
        Event::FileAssessment { document: document() },
        Event::FileIcp { document: document() },
        Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() },
        Event::Restore { reason: "over".to_owned() },
        Event::RequestOffboarding {
            stop_day: crate::core::calendar::plus_days(crate::core::calendar::legal_day(now), 60),
            reason: "moving".to_owned(),
        },
        Event::ReviewOffboarding { decision: Decision::Approve, opinion: "sound".to_owned() },
        Event::ConfirmOffboarding { migrated: true, backed_up: true },
        Event::ApproveWipe,
        Event::OrderReported {
            host,
            order,
            report: Reported::Refused { code: "x".to_owned(), message: "y".to_owned() },
        },
        Event::NoticeDelivered {
            notice: NoticeId::from_uuid(Uuid::from_u128(9)),
            grade: Grade::E2,
            at: now,
        },
        Event::RecordCounts {
            fact: RecordFact {
                record: tenure_protocol::id::RecordId::from_uuid(Uuid::from_u128(11)),
                kind: crate::core::record::Kind::Inspection,
                effective_at: now,
                findings: 1,
            },
        },
        Event::Recount {
            notice: "notice".to_owned(),
            reason: "new".to_owned(),
            changes: Vec::new(),
        },
        Event::SignRecount { id: ObligationId::O3, serial: 1, reason: "sound".to_owned() },
        Event::Tick,
    ]
}

/// What sound hosts answer to the orders that are open.
fn answers(tenant: &Tenant, now: Timestamp) -> Vec<Event> {
    let interval = CommitInterval { earliest: now, latest: now.plus_ms(1), took_ns: 1_000_000 };
    let open = tenant.orders.iter().filter(|order| order.state == OrderFate::Open);
    open.map(|order| {
        let here = tenant.instances().iter().filter(|instance| instance.host == order.host);
        let power = |power: Power| here.clone().map(|one| (one.id, power)).collect();
        let report = match order.kind {
            OrderKind::Configure => Reported::Configured { instances: power(Power::Running) },
            OrderKind::Stop => Reported::Configured { instances: power(Power::Stopped) },
            OrderKind::Cut => Reported::Cut { interval },
            OrderKind::Restore => Reported::Restored { interval },
            OrderKind::Wipe => Reported::Wiped {
                findings: tenant
                    .unproven(order.host)
                    .into_iter()
                    .map(|subject| Finding {
                        subject,
                        attempt: tenant.wipe.as_ref().map_or(0, |wipe| wipe.attempt),
                        result: FindingResult::Pass,
                        envelope: Digest::of(format!("{subject:?}").as_bytes()),
                    })
                    .collect(),
            },
        };
        Event::OrderReported { host: order.host, order: order.id, report }
    })
    .collect()
}

fn owed(tenant: &Tenant, id: ObligationId) -> ObligationState {
    tenant.obligations.iter().rfind(|owed| owed.id == id).expect("owed").state
}

#[test]
fn each_phase_admits_the_events_that_the_golden_file_lists() {
    let mut found = String::new();
    let now = Timestamp::default();
    for phase in Phase::ALL {
        let admitted: Vec<&str> = events(now)
            .iter()
            .filter(|event| admit::admits(phase, event))
            .map(Event::name)
            .collect();
        writeln!(found, "{}: {}", phase.as_str(), admitted.join(" ")).expect("text");
    }
    assert_eq!(found, include_str!("phase-events.txt"), "\n{found}");
}

#[test]
fn an_emergency_cut_arms_its_notices_in_the_transition_that_orders_it() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
    let effects = world.apply(&mut tenant, &cut).expect("cut");
    let orders = effects.iter().filter(|effect| matches!(effect, Effect::Order(_))).count();
    let armed: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Arm(notice) => Some(&notice.state),
            _ => None,
        })
        .collect();
    assert_eq!((orders, armed.len()), (2, 1));
    let release_at = world.now.plus_ms(3_000);
    assert_eq!(armed[0], &NoticeState::Armed { release_at });
    assert!(tenant.last_cut().expect("a cut").t0.is_none());
}

#[test]
fn a_cut_that_every_host_failed_is_void_and_taken_back_on_each() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
    world.apply(&mut tenant, &cut).expect("cut");
    let cuts = tenant.orders.iter().filter(|order| order.kind == OrderKind::Cut);
    let cuts: Vec<_> = cuts.map(|order| (order.host, order.id)).collect();
    let mut effects = Vec::new();
    for (host, order) in cuts {
        let (code, message) = ("not-attested".to_owned(), "no proof".to_owned());
        let report = Reported::Failed { code, message, findings: Vec::new() };
        let failed = Event::OrderReported { host, order, report };
        effects = world.apply(&mut tenant, &failed).expect("a report");
    }
    assert!(matches!(tenant.isolation, Isolation::Connected));
    let restores = effects.iter().filter(|effect| {
        matches!(effect, Effect::Order(draft) if matches!(draft.action, v1::Action::Restore(_)))
    });
    assert_eq!(restores.count(), tenant.hosts().len());
    let restores = tenant.orders.iter().filter(|order| order.kind == OrderKind::Restore);
    let (host, order) = restores.map(|order| (order.host, order.id)).next().expect("a restore");
    let (code, message) = ("nft-failed".to_owned(), "busy".to_owned());
    let report = Reported::Failed { code, message, findings: Vec::new() };
    let failed = Event::OrderReported { host, order, report };
    world.apply(&mut tenant, &failed).expect("a report");
    assert_eq!(tenant.wake_at, Some(world.now.plus_ms(5_000)), "and again until it has");
    world.now = world.now.plus_ms(5_000);
    let again = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    let [Effect::Order(draft)] = again.as_slice() else { panic!("{again:?}") };
    assert!(matches!(draft.action, v1::Action::Restore(_)) && draft.host == host, "{draft:?}");
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Connected));
    world.now = world.now.plus_ms(5_000);
    assert!(world.apply(&mut tenant, &Event::Tick).expect("a tick").is_empty(), "then it is over");
}

#[test]
fn three_hundred_seconds_after_the_first_dropped_packet_the_duty_to_notify_is_breached_for_good() {
    for (late_ms, met_in_time) in [(299_999, true), (300_000, false)] {
        let mut world = World::new();
        let mut tenant = world.on_trial();
        let cut = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
        world.apply(&mut tenant, &cut).expect("cut");
        let t0 = world.now;
        world.obey(&mut tenant);
        assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
        let notice = tenant.last_cut().expect("a cut").notices[0];
        let sent = Event::NoticeDelivered { notice, grade: Grade::E1, at: t0 };
        world.apply(&mut tenant, &sent).expect("sent");
        assert_eq!(owed(&tenant, ObligationId::O12b), ObligationState::Open, "E1 is not enough");
        world.now = t0.plus_ms(late_ms);
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
        let at = world.now;
        let delivered = Event::NoticeDelivered { notice, grade: Grade::E2, at };
        world.apply(&mut tenant, &delivered).expect("delivered");
        let expected = if met_in_time {
            ObligationState::Discharged { at }
        } else {
            ObligationState::Breached { at, met_at: Some(at) }
        };
        assert_eq!(owed(&tenant, ObligationId::O12b), expected);
    }
}

#[test]
fn the_earliest_lawful_stop_day_stands_in_the_refusal() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let reports = Event::SubmitReports { test_report: document(), security_report: document() };
    world.apply(&mut tenant, &reports).expect("reports");
    let pass = Event::ReviewReports { decision: ReportsDecision::Pass, opinion: "ok".to_owned() };
    world.apply(&mut tenant, &pass).expect("pass");
    world.now = "2026-09-21T02:00:00Z".parse().expect("an instant");
    let ask = |day: &str| Event::RequestOffboarding {
        stop_day: day.parse().expect("a date"),
        reason: "moving".to_owned(),
    };
    let refusal = world.apply(&mut tenant, &ask("2026-10-16")).expect_err("too early");
    assert_eq!(refusal.code, Code::StopDayTooEarly);
    assert!(refusal.sentence.contains("2026-10-20"), "{refusal}");
    world.apply(&mut tenant, &ask("2026-10-20")).expect("in time");
}

#[test]
fn instances_of_a_role_are_spread_and_a_fleet_without_room_refuses() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let mut full = World::new();
    full.fleet.hosts.iter_mut().for_each(|host| host.memory_taken = host.memory_bytes);
    let refusal = full.apply(&mut tenant, &approve()).expect_err("no room");
    assert_eq!(refusal.code, Code::NoCapacity);
    assert_eq!(tenant.phase, Phase::Submitted);
    world.apply(&mut tenant, &approve()).expect("room");
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

/// What happens next: an event of anybody, a report of a sound host, or time.
#[derive(Debug, Clone)]
enum Next {
    Event(usize, usize),
    Obey,
    Fail(usize),
    Deliver,
    Days(i64),
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        6 => (0..19_usize, 0..4_usize).prop_map(|(event, name)| Next::Event(event, name)),
        6 => Just(Next::Obey),
        1 => (0..4_usize).prop_map(Next::Fail),
        3 => Just(Next::Deliver),
        3 => (0..40_i64).prop_map(Next::Days),
    ]
}

const NAMES: [&str; 4] = ["li", "zhao", "qian", "sun"];

/// Runs a history and checks after each step what has to hold in every history.
fn run(history: &[Next]) -> Vec<Tenant> {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let mut states = vec![tenant.clone()];
    for next in history {
        let happening: Vec<(Event, Actor)> = match next {
            Next::Event(index, name) => {
                let event = events(world.now).swap_remove(*index);
                let actor = actor_for(&event, NAMES[*name]);
                vec![(event, actor)]
            }
            Next::Obey => {
                let told = answers(&tenant, world.now).into_iter();
                told.map(|event| (event, Actor::controller())).collect()
            }
            Next::Fail(index) => {
                let order = tenant.orders.get(*index).map(|order| (order.host, order.id));
                let report = Reported::Failed {
                    code: "broken".to_owned(),
                    message: "it broke".to_owned(),
                    findings: vec![],
                };
                order
                    .map(|(host, order)| {
                        let event = Event::OrderReported { host, order, report };
                        (event, Actor::controller())
                    })
                    .into_iter()
                    .collect()
            }
            Next::Deliver => {
                let cut = tenant.cuts.iter().flat_map(|cut| cut.notices.iter());
                let notices: Vec<_> = tenant.handover.iter().chain(cut).copied().collect();
                notices
                    .into_iter()
                    .map(|notice| {
                        let event =
                            Event::NoticeDelivered { notice, grade: Grade::E2, at: world.now };
                        (event, Actor::controller())
                    })
                    .collect()
            }
            Next::Days(days) => {
                world.now = world.now.plus_ms(days * 86_400_000);
                vec![(Event::Tick, Actor::controller())]
            }
        };
        for (event, actor) in happening {
            let Ok(transition) = apply(&tenant, &event, &actor, &world.context()) else {
                continue;
            };
            holds(&tenant, &event, &actor, &transition);
            tenant = transition.tenant;
            states.push(tenant.clone());
        }
    }
    states
}

fn holds(before: &Tenant, event: &Event, actor: &Actor, transition: &Transition) {
    let after = &transition.tenant;
    for (old, new) in before.obligations.iter().zip(&after.obligations) {
        if let ObligationState::Breached { at, .. } = old.state {
            let kept =
                matches!(new.state, ObligationState::Breached { at: kept, .. } if kept == at);
            assert!(kept, "a breach was rewritten: {old:?} → {new:?}");
        }
    }
    assert!(after.obligations.len() >= before.obligations.len(), "an obligation vanished");
    if after.phase == Phase::Online && before.phase != Phase::Online {
        let reviewed = matches!(
            event,
            Event::ReviewReports { decision: ReportsDecision::Pass, .. }
                | Event::ReviewOffboarding { decision: Decision::Reject, .. }
        );
        assert!(reviewed, "online without a passed review, by {event:?}");
    }
    if matches!(actor.role, Role::Reviewer) {
        assert!(!before.applicants.contains(&actor.name), "an applicant reviewed");
    }
    if after.phase == Phase::Wiping && before.phase != Phase::Wiping {
        assert_eq!(event.name(), "approve-wipe");
        let approvals = &after.wipe.as_ref().expect("a wipe").approvals;
        assert_eq!(approvals.len(), 2);
        assert_ne!(approvals[0].name, approvals[1].name);
        assert!(approvals.iter().all(|one| !after.applicants.contains(&one.name)));
    }
    if after.phase == Phase::Closed {
        assert!(after.hosts().into_iter().all(|host| after.unproven(host).is_empty()));
    }
    if matches!(event, Event::Tick) {
        let wipes = transition.effects.iter().any(|effect| {
            matches!(effect, Effect::Order(draft)
                if matches!(draft.action, tenure_protocol::wire::v1::Action::Wipe(_)))
        });
        assert!(!wipes, "time alone started a wipe");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_history_panics_or_breaks_what_has_to_hold(
        history in proptest::collection::vec(next(), 0..60)
    ) {
        let states = run(&history);
        prop_assert!(run(&history) == states, "the same history gives the same states");
        let last = states.last().expect("a state");
        let text = serde_json::to_string(last).expect("JSON");
        let back: Tenant = serde_json::from_str(&text).expect("a tenant");
        prop_assert_eq!(&back, last);
    }

    #[test]
    fn a_tick_leaves_nothing_due(history in proptest::collection::vec(next(), 0..40)) {
        let states = run(&history);
        let mut world = World::new();
        world.now = world.now.plus_ms(4_000 * 86_400_000);
        let mut tenant = states.last().expect("a state").clone();
        for _ in 0..3 {
            world.apply(&mut tenant, &Event::Tick).expect("a tick is always admitted");
        }
        prop_assert!(tenant.wake_at.is_none_or(|at| at > world.now), "{:?}", tenant.wake_at);
    }
}

#[test]
fn the_ladder_is_climbed_as_the_design_says() {
    use crate::core::notice::next_rung;
    let since = Timestamp::from_unix_ms(1_000_000);
    let mut at = since;
    let mut rungs = BTreeMap::new();
    for number in 0..9 {
        at = next_rung(since, at).expect("a rung");
        rungs.insert(number, at.ms_since(since) / 1000);
    }
    let seconds: Vec<i64> = rungs.into_values().collect();
    assert_eq!(seconds, [5, 15, 30, 60, 90, 120, 180, 240, 540]);
}

#[path = "deadline_tests.rs"]
mod deadlines;
