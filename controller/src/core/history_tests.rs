//! Random histories: clock jumps, duplicates, failing hosts, full fleets and calendar amendments,
//! and what has to hold in each of them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use super::*;
use crate::core::tenant::OpenOrder;

/// Histories that are told; each has its own seed.
const HISTORIES: u32 = 150;

const CUSTOMERS: [&str; 2] = ["li", "zhao"];
const PROVIDERS: [&str; 5] = ["zhao", "qian", "sun", "zhou", "li"];

/// What happens next. Numbers choose among what is possible then.
#[derive(Debug, Clone)]
enum Next {
    /// An event that the phase admits.
    Admitted(usize, usize),
    /// Any event.
    Any(usize, usize),
    /// Sound hosts answer.
    Obey,
    /// A host fails.
    Fail(usize),
    /// Notices arrive.
    Deliver,
    /// Time jumps by seconds, also backwards, and ticks.
    Jump(i64),
    /// Time goes on to the next wake-up.
    Wake,
    /// The last thing happens again, later.
    Again,
    /// The fleet is full, or has room.
    Room(bool),
    /// The State Council's notice is in.
    Amend,
}

fn next() -> impl Strategy<Value = Next> {
    const DAY: i64 = 86_400;
    prop_oneof![
        12 => (any::<usize>(), any::<usize>())
            .prop_map(|(event, name)| Next::Admitted(event, name)),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(event, name)| Next::Any(event, name)),
        8 => Just(Next::Obey),
        2 => any::<usize>().prop_map(Next::Fail),
        4 => Just(Next::Deliver),
        2 => (-2 * DAY..3 * DAY).prop_map(Next::Jump),
        1 => (0..40 * DAY).prop_map(Next::Jump),
        4 => Just(Next::Wake),
        1 => Just(Next::Again),
        1 => any::<bool>().prop_map(Next::Room),
        1 => Just(Next::Amend),
    ]
}

/// What the histories came to.
#[derive(Debug, Default)]
struct Reached {
    events: usize,
    accepted: usize,
    phases: BTreeMap<Phase, usize>,
    happened: BTreeSet<&'static str>,
    holds: BTreeSet<&'static str>,
    homes: usize,
}

struct History<'a> {
    world: World,
    tenant: Tenant,
    last: Option<(Event, Actor)>,
    reached: &'a RefCell<Reached>,
}

impl History<'_> {
    /// Histories begin by their number at five places of the way, under both gates of the ICP
    /// filing: by chance alone few come far.
    fn start(number: u32, reached: &RefCell<Reached>) -> History<'_> {
        let mut world = World::new();
        if number.is_multiple_of(2) {
            let text = crate::core::rules::SHIPPED
                .replace("icp_gate = \"strict\"", "icp_gate = \"standard\"");
            world.rules = Rules::parse(&text).expect("rules");
        }
        let tenant = match number % 5 {
            0 => open_draft(&application(), &customer(), &world.context()).expect("a draft").tenant,
            1 => world.submitted(),
            2 => world.on_trial(),
            3 => world.rectifying(),
            _ => world.online(),
        };
        History { world, tenant, last: None, reached }
    }

    fn go(&mut self, next: &Next) {
        match next {
            Next::Admitted(event, name) => {
                let mut events = events(self.world.now);
                events.retain(|event| {
                    admit::admits(self.tenant.phase, event)
                        && admit::roles(event) != [Role::Controller]
                });
                if !events.is_empty() {
                    let event = events.swap_remove(event % events.len());
                    self.person(event, *name);
                }
            }
            Next::Any(event, name) => {
                let mut events = events(self.world.now);
                let event = events.swap_remove(event % events.len());
                self.person(event, *name);
            }
            Next::Obey => self.obey(),
            Next::Fail(index) => {
                let open = |order: &&OpenOrder| order.state == OrderFate::Open;
                let mut orders: Vec<_> = self.tenant.orders.iter().filter(open).collect();
                if orders.is_empty() {
                    // Late, or for the second time.
                    orders.extend(&self.tenant.orders);
                }
                let Some(order) = orders.get(index % orders.len().max(1)) else { return };
                let (host, order, findings) = (order.host, order.id, Vec::new());
                let (code, message) = (said("broken"), said("it broke"));
                let report = Reported::Failed { code, message, findings };
                self.happen(Event::OrderReported { host, order, report }, Actor::controller());
            }
            Next::Deliver => self.deliver(),
            Next::Jump(seconds) => {
                self.world.now = self.world.now.plus_ms(seconds * 1_000);
                self.happen(Event::Tick, Actor::controller());
            }
            Next::Wake => {
                if let Some(at) = self.tenant.wake_at {
                    self.world.now = self.world.now.max(at);
                }
                self.happen(Event::Tick, Actor::controller());
            }
            Next::Again => {
                if let Some((event, actor)) = self.last.clone() {
                    self.world.now = self.world.now.plus_ms(1_000);
                    self.happen(event, actor);
                }
            }
            Next::Room(room) => {
                let taken = |bytes: u64| if *room { 0 } else { bytes };
                for host in &mut self.world.fleet.hosts {
                    host.memory_taken = taken(host.memory_bytes);
                }
            }
            Next::Amend => {
                let law = ["2027-01-01", "2027-05-01", "2027-10-01", "2027-10-02", "2027-10-03"];
                let rest = [law.as_slice(), &["2027-02-05", "2027-02-08", "2027-02-09"]].concat();
                let notice = super::deadlines::notice(2027, false, &rest, &[]);
                let inside = "2027-02-05".parse().expect("a date");
                if self.world.calendar.day(inside) != crate::core::calendar::Day::Unknown {
                    return;
                }
                self.world.calendar.add(notice).expect("a notice");
                let changes = recount::changes(&self.tenant, &self.world.calendar, self.world.now);
                let (notice, reason) = (said("notice"), said("new"));
                let event = Event::Recount { notice, reason, changes };
                self.happen(event, Actor::controller());
            }
        }
    }

    fn person(&mut self, event: Event, name: usize) {
        let roles = admit::roles(&event);
        let role = roles[name % roles.len()];
        let actor = match role {
            Role::Customer => {
                Actor { name: said(CUSTOMERS[usize::from(name.is_multiple_of(11))]), ..customer() }
            }
            Role::Controller => Actor::controller(),
            Role::Reviewer
            | Role::Operator
            | Role::Security
            | Role::Auditor
            | Role::Administrator => {
                Actor { name: said(PROVIDERS[name % PROVIDERS.len()]), role, customer: None }
            }
        };
        self.happen(event, actor);
    }

    fn obey(&mut self) {
        for event in answers(&self.tenant, self.world.now) {
            self.happen(event, Actor::controller());
        }
    }

    fn deliver(&mut self) {
        let second = self.tenant.offboarding.iter().flat_map(|leaving| match &leaving.chase {
            crate::core::tenant::Chase::Second { notices, .. } => notices.as_slice(),
            _ => &[],
        });
        let planned = self.tenant.announcement.iter().flat_map(|planned| &planned.notices);
        let cut = self.tenant.last_cut().and_then(|cut| cut.notices.first());
        let first = self.tenant.handover.first();
        let notices = first.into_iter().chain(cut).chain(second).chain(planned);
        for notice in notices.copied().collect::<Vec<_>>() {
            let event = Event::NoticeDelivered { notice, grade: Grade::E2, at: self.world.now };
            self.happen(event, Actor::controller());
        }
    }

    fn happen(&mut self, event: Event, actor: Actor) {
        let context = self.world.context();
        let outcome = apply(&self.tenant, &event, &actor, &context);
        let mut reached = self.reached.borrow_mut();
        reached.events += 1;
        let transition = match outcome {
            Ok(transition) => transition,
            Err(refusal) => {
                assert_ne!(refusal.code, Code::Invariant, "{refusal}");
                assert!(!refusal.sentence.is_empty());
                return;
            }
        };
        holds(&self.tenant, &event, &actor, &transition);
        // To ask twice for a notice to be sent again sends it again: nothing else may happen twice.
        if !matches!(event, Event::RetryConfiguration) {
            reached.events += 1;
            if let Ok(twice) = apply(&transition.tenant, &event, &actor, &context) {
                assert!(!twice.changed, "{event:?} twice changes {:?}", transition.tenant);
            }
        }
        reached.accepted += 1;
        reached.happened.insert(event.name());
        *reached.phases.entry(transition.tenant.phase).or_default() += 1;
        reached.holds.insert(match transition.tenant.hold_region() {
            HoldRegion::None => "none",
            HoldRegion::Dispute => "dispute",
            HoldRegion::LegalHold => "legal-hold",
        });
        drop(reached);
        self.tenant = transition.tenant;
        self.last = Some((event, actor));
    }

    /// Whatever happened, there is a way to an end for everybody who wants to go.
    fn go_home(&mut self) {
        self.go(&Next::Room(true));
        for _ in 0..200 {
            if self.tenant.phase.is_final() {
                self.reached.borrow_mut().homes += 1;
                return;
            }
            self.one_step_home();
        }
        let Tenant { phase, orders, handover, offboarding, holds, .. } = &self.tenant;
        panic!("no way on: {phase:?} {orders:?} {handover:?} {offboarding:?} {holds:?}");
    }

    fn one_step_home(&mut self) {
        let now = self.world.now;
        let acts: Vec<(&str, Role, Event)> = match self.tenant.phase {
            Phase::Draft | Phase::Submitted | Phase::CorrectionRequested | Phase::Approved => {
                vec![("chu", Role::Customer, Event::Withdraw { reason: said("over") })]
            }
            Phase::Configuring | Phase::ConfigurationFailed => {
                vec![("feng", Role::Operator, Event::RetryConfiguration)]
            }
            Phase::Trial
            | Phase::UnderReview
            | Phase::Rectifying
            | Phase::TrialExpired
            | Phase::Online => vec![("chu", Role::Customer, leave(now, 60, false))],
            Phase::OffboardingRequested => {
                let (decision, opinion) = (Decision::Approve, said("sound"));
                let event = Event::ReviewOffboarding { decision, opinion };
                vec![("wei", Role::Reviewer, event)]
            }
            Phase::OffboardingApproved => {
                let confirm = Event::ConfirmOffboarding { migrated: true, backed_up: true };
                vec![("chu", Role::Customer, confirm)]
            }
            Phase::Stopped | Phase::WipeFailed => vec![
                ("wei", Role::Operator, Event::ApproveWipe),
                ("jiang", Role::Security, Event::ApproveWipe),
            ],
            Phase::Rejected
            | Phase::Withdrawn
            | Phase::Draining
            | Phase::Wiping
            | Phase::WipeVerified
            | Phase::Closed => Vec::new(),
        };
        self.end_holds();
        for (name, role, event) in acts {
            let customer = (role == Role::Customer).then(|| said("bureau"));
            self.happen(event, Actor { name: said(name), role, customer });
        }
        let attempt = self.tenant.wipe.as_ref().map(|wipe| wipe.attempt);
        if self.tenant.phase == Phase::Wiping && attempt == Some(1) {
            // The first wipe fails on the way home: two persons approve another.
            self.go(&Next::Fail(0));
        }
        self.obey();
        self.deliver();
        self.go(&Next::Wake);
    }

    fn end_holds(&mut self) {
        let standing: Vec<u32> =
            self.tenant.holds.iter().filter(|hold| hold.blocks()).map(|hold| hold.number).collect();
        for hold in standing {
            let (document, reason) = (document(), said("over"));
            let release = Event::ReleaseHold { hold, document, reason };
            let by = |name: &str| Actor { name: said(name), role: Role::Security, customer: None };
            self.happen(release, by("shen"));
            self.happen(Event::CountersignHold { hold }, by("han"));
        }
    }
}

/// What has to hold of every transition, beside the invariants that `apply` checks itself.
fn holds(before: &Tenant, event: &Event, actor: &Actor, transition: &Transition) {
    let after = &transition.tenant;
    assert!(after.obligations.len() >= before.obligations.len(), "an obligation vanished");
    for (old, new) in before.obligations.iter().zip(&after.obligations) {
        assert_eq!((old.id, old.serial), (new.id, new.serial));
        if let ObligationState::Breached { at, met_at } = old.state {
            let kept = matches!(new.state, ObligationState::Breached { at: kept, met_at: met }
                if kept == at && (met_at.is_none() || met == met_at));
            assert!(kept && new.due == old.due, "a breach was rewritten: {old:?} → {new:?}");
        }
    }
    assert!(!before.phase.is_final() || after.phase == before.phase, "{event:?} after the end");
    if actor.role == Role::Reviewer {
        assert!(!before.applicants.contains(&actor.name), "an applicant reviewed");
    }
    let asks = |wanted: &v1::TenantWanted| {
        wanted.instances.iter().flat_map(|one| &one.nic.ingress).any(|rule| rule.port == 443)
    };
    for effect in &transition.effects {
        let Effect::Order(draft) = effect else { continue };
        match &draft.action {
            v1::Action::Wipe(_) => {
                assert_eq!(event.name(), "approve-wipe");
                assert_eq!(after.hold_region(), HoldRegion::None, "a wipe under a hold");
                let approvals = &after.wipe.as_ref().expect("a wipe").approvals;
                assert_ne!(approvals[0].name, approvals[1].name);
            }
            v1::Action::Configure(wanted) if asks(wanted) => {
                assert!(after.online_at.is_some(), "the Internet before formal operation");
                assert!(after.icp.is_some() || after.icp_opening.is_some());
            }
            v1::Action::Configure(_) | v1::Action::Cut(_) | v1::Action::Restore(_) => {}
        }
    }
    let timed = after
        .obligations
        .iter()
        .any(|owed| owed.state == ObligationState::Open && owed.breach_at().is_some());
    if timed && !after.phase.is_final() {
        assert!(after.wake_at.is_some(), "nothing wakes {after:?}");
    }
}

/// Tells a history to its end, and then the way home.
fn tell(number: u32, history: &[Next], reached: &RefCell<Reached>) -> Tenant {
    let mut told = History::start(number, reached);
    history.iter().for_each(|next| told.go(next));
    let before = told.tenant.clone();
    told.go_home();
    let text = serde_json::to_string(&before).expect("JSON");
    assert_eq!(serde_json::from_str::<Tenant>(&text).expect("a tenant"), before);
    told.tenant
}

#[test]
fn every_history_keeps_what_holds_replays_and_has_an_end() {
    let reached = RefCell::new(Reached::default());
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(next(), 20..80);
    for number in 0..HISTORIES {
        let history = strategy.new_tree(&mut runner).expect("a history").current();
        let first = tell(number, &history, &reached);
        if number.is_multiple_of(10) {
            assert!(tell(number, &history, &reached) == first, "{number} replays otherwise");
        }
    }
    let Reached { events, accepted, phases, happened, holds, homes } = reached.into_inner();
    println!("{events} events, {accepted} accepted, {homes} homes, {phases:?} {happened:?}");
    assert!(accepted > 5_000, "{accepted} of {events}");
    assert!(homes as u32 >= HISTORIES, "{homes} came to an end");
    for phase in Phase::ALL {
        assert!(phases.contains_key(&phase), "{phase:?} was never reached");
    }
    assert_eq!(holds.len(), 3, "{holds:?}");
    assert!(happened.len() > 30, "{happened:?}");
}

proptest! {
    #![proptest_config(Config { cases: 100, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_tick_leaves_nothing_due(
        number in 0..10u32,
        history in proptest::collection::vec(next(), 0..80),
    ) {
        let reached = RefCell::new(Reached::default());
        let mut told = History::start(number, &reached);
        history.iter().for_each(|next| told.go(next));
        told.world.now = told.world.now.plus_ms(4_000 * 86_400_000);
        for _ in 0..4 {
            told.happen(Event::Tick, Actor::controller());
        }
        let now = told.world.now;
        prop_assert!(told.tenant.wake_at.is_none_or(|at| at > now), "{:?}", told.tenant.wake_at);
    }
}
