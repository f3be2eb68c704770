//! Random histories: clock jumps, duplicates, late and false reports, failing hosts, full fleets
//! and calendar amendments, a million events of them in each run. The five properties of the core:
//!
//! - total: whatever happens, it is accepted or refused with a code and a sentence, never by a
//!   fault of the controller, and nobody panics; what is accepted keeps the rules of the oracle;
//! - progress: who sleeps until the next wake-up misses nothing and does not wake in vain, and
//!   whoever wants to go has a way to an end;
//! - idempotent: the same event again changes nothing;
//! - sticky breach: a missed deadline stays missed;
//! - replay: the accepted events alone, read back from JSON, give the same tenant.
//!
//! A history that breaks one is shrunk and shown event by event, and its seed is kept.

use std::cell::RefCell;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tenure_protocol::channel::Grade;

use super::{
    drawn::{Next, Story, spoil, story},
    oracle::Verdict,
    reached::{Reached, everything_was_reached},
    told::History,
    *,
};
use crate::core::{
    calendar::CalendarNotice,
    tenant::{Chase, OpenOrder},
};

/// Events that one run comes to, at least; duplicates and ticks that only try are not among them.
const EVENTS: usize = 1_000_000;
/// Runners that tell histories at the same time, each an equal part of the events.
const RUNNERS: usize = 4;
/// Histories between two looks at how far they have come.
const CASES: u32 = 40;
/// Customers and people of the provider: two of them are both.
const CUSTOMERS: [&str; 2] = ["li", "zhao"];
const PROVIDERS: [&str; 5] = ["zhao", "qian", "sun", "zhou", "li"];
const DAY: i64 = 86_400;

/// The State Council's notices, in the order of their issue: each moves days, made up.
fn notices() -> [CalendarNotice; 4] {
    let law = ["2027-01-01", "2027-05-01", "2027-10-01", "2027-10-02", "2027-10-03"];
    let rest = [law.as_slice(), &["2027-02-05", "2027-02-08", "2027-02-09"]].concat();
    let notice = super::deadlines::notice;
    [
        notice(2026, true, &["2026-09-11", "2026-09-14", "2026-11-02", "2026-12-07"], &[]),
        notice(2026, true, &[], &["2026-09-14", "2026-09-26", "2026-11-14", "2026-12-07"]),
        notice(2027, false, &rest, &["2027-02-20"]),
        notice(2027, true, &["2027-01-04", "2027-03-01"], &["2027-02-05", "2027-02-06"]),
    ]
}

impl History {
    /// Begins at one of five places of the way, under one of the gates of the ICP filing, on one of
    /// several days, with legal time ahead of the real clock or not.
    fn begin(begins: usize, worlds: &[World; 2]) -> Result<Self, String> {
        let mut world = worlds[begins % 2].clone();
        let days = i64::try_from(begins / 2 % 8).unwrap_or(0) * 13;
        world.now = world.now.plus_ms(days * DAY * 1_000);
        let place = begins / 16 % 5;
        let ahead_ms = if begins.is_multiple_of(3) { 0 } else { 40 * DAY * 1_000 };
        let mut history = Self::open(world, place == 0, ahead_ms);
        if place >= 2 {
            history.happen(approve(), actor_for(&approve(), "qian"))?;
            history.obey()?;
            history.deliver()?;
        }
        let submit = reports();
        let (decision, opinion) = (ReportsDecision::Fail, said("not yet"));
        let items = vec![said("weak passwords"), said("open port")];
        let fail = Event::ReviewReports { decision, opinion, items };
        let way = match place {
            3 => vec![submit, fail],
            4 => vec![submit, pass()],
            _ => Vec::new(),
        };
        for event in way {
            let actor = actor_for(&event, "qian");
            history.happen(event, actor)?;
        }
        Ok(history)
    }

    fn go(&mut self, next: Next) -> Verdict {
        match next {
            Next::Admitted(event, name) => {
                let mut events = events(self.now);
                events.retain(|event| {
                    admit::admits(self.tenant.phase, event)
                        && admit::roles(event) != [Role::Controller]
                });
                if events.is_empty() { Ok(()) } else { self.person(pick(events, event), name) }
            }
            Next::Any(event, name) => self.person(pick(events(self.now), event), name),
            Next::Intrude(event, name) => {
                let (event, roles) = (pick(events(self.now), event), ROLES);
                self.act(event, roles[name % roles.len()], name / roles.len())
            }
            Next::Obey => self.obey(),
            Next::Fail(index) => self.fail(index),
            Next::Report(order, how) => self.report(order, how),
            Next::Deliver => self.deliver(),
            Next::Stray(index, there) => {
                let Some(notice) = chosen(&self.armed, index).copied() else { return Ok(()) };
                let grade = if there { Grade::E2 } else { Grade::E1 };
                let event = Event::NoticeDelivered { notice, grade, at: self.real_now() };
                self.happen(event, Actor::controller())
            }
            Next::Jump(seconds) => {
                self.now = self.now.plus_ms(seconds * 1_000);
                self.happen(Event::Tick, Actor::controller())
            }
            Next::Drift(seconds) => {
                self.ahead_ms += seconds * 1_000;
                self.happen(Event::Tick, Actor::controller())
            }
            Next::Wake => {
                self.now = self.tenant.wake_at.map_or(self.now, |at| self.now.max(at));
                self.happen(Event::Tick, Actor::controller())
            }
            Next::Again => {
                let Some(last) = self.log.last() else { return Ok(()) };
                let (event, actor) = (last.event().clone(), last.actor().clone());
                self.now = self.now.plus_ms(1_000);
                self.happen(event, actor)
            }
            Next::Room(room) => {
                self.room(room);
                Ok(())
            }
            Next::Amend => self.amend(),
            Next::Sign => {
                let waits = |owed: &&crate::core::obligation::Obligation| {
                    owed.moves.last().is_some_and(|last| !last.applied)
                };
                let Some(owed) = self.tenant.obligations.iter().find(waits) else { return Ok(()) };
                let (id, serial, reason) = (owed.id, owed.serial, said("it is so"));
                self.act(Event::SignRecount { id, serial, reason }, Role::Administrator, 1)
            }
        }
    }

    fn room(&mut self, room: bool) {
        self.change(|world| {
            for host in &mut world.fleet.hosts {
                host.memory_taken = if room { 0 } else { host.memory_bytes };
            }
        });
    }

    fn amend(&mut self) -> Verdict {
        let Some(notice) = notices().into_iter().nth(self.amended) else { return Ok(()) };
        self.amended += 1;
        self.change(|world| world.calendar.add(notice).expect("it fits"));
        let changes = recount::changes(&self.tenant, &self.world().calendar, self.world().now);
        let event = Event::Recount { notice: said("notice"), reason: said("new"), changes };
        self.happen(event, Actor::controller())
    }

    /// Somebody in a role that may cause the event; reports differ from person to person.
    fn person(&mut self, mut event: Event, name: usize) -> Verdict {
        let roles = admit::roles(&event);
        if let Event::SubmitReports { test_report, .. } = &mut event {
            test_report.title = format!("report {}", name % 3);
        }
        self.act(event, roles[name % roles.len()], name)
    }

    fn act(&mut self, event: Event, role: Role, name: usize) -> Verdict {
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
        self.happen(event, actor)
    }

    fn obey(&mut self) -> Verdict {
        let answers = answers(&self.tenant, self.real_now());
        answers.into_iter().try_for_each(|event| self.happen(event, Actor::controller()))
    }

    fn fail(&mut self, index: usize) -> Verdict {
        let open = |order: &&OpenOrder| order.state == OrderFate::Open;
        let orders: Vec<_> = self.tenant.orders.iter().filter(open).collect();
        let Some(order) = chosen(&orders, index) else { return Ok(()) };
        let (host, order, findings) = (order.host, order.id, Vec::new());
        let (code, message) = (said("broken"), said("it broke"));
        let report = Reported::Failed { code, message, findings };
        self.happen(Event::OrderReported { host, order, report }, Actor::controller())
    }

    /// A report on any order that was ever given: sound, or one of the ways not to be.
    fn report(&mut self, index: usize, how: usize) -> Verdict {
        let Some(order) = chosen(&self.given, index).cloned() else { return Ok(()) };
        let open = OpenOrder { state: OrderFate::Open, ..order };
        let asked = Tenant { orders: vec![open], ..self.tenant.clone() };
        let mut sound = answers(&asked, self.real_now());
        let Some(mut event) = sound.pop() else { return Ok(()) };
        if let Event::OrderReported { host, report, .. } = &mut event {
            spoil(report, how);
            if how % 16 == 15 {
                *host = HostId::from_uuid(Uuid::from_u128(2));
            }
        }
        self.happen(event, Actor::controller())
    }

    fn deliver(&mut self) -> Verdict {
        let second = self.tenant.offboarding.iter().flat_map(|leaving| match &leaving.chase {
            Chase::Second { notices, .. } => notices.as_slice(),
            _ => &[],
        });
        let planned = self.tenant.announcement.iter().flat_map(|planned| &planned.notices);
        let cut = self.tenant.last_cut().and_then(|cut| cut.notices.first());
        let first = self.tenant.handover.first();
        let notices = first.into_iter().chain(cut).chain(second).chain(planned);
        for notice in notices.copied().collect::<Vec<_>>() {
            let event = Event::NoticeDelivered { notice, grade: Grade::E2, at: self.real_now() };
            self.happen(event, Actor::controller())?;
        }
        Ok(())
    }

    /// Whatever happened, there is a way to an end for everybody who wants to go.
    fn go_home(&mut self) -> Verdict {
        self.room(true);
        for _ in 0..200 {
            if self.tenant.phase.is_final() {
                return self.stray(4);
            }
            self.one_step_home()?;
        }
        Err(format!("there is no way on: {:?}", self.tenant))
    }

    fn one_step_home(&mut self) -> Verdict {
        let now = self.now;
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
            Phase::OffboardingApproved if self.amended.is_multiple_of(2) => {
                // The customer is silent, and the second notice is served by letter.
                let sent = self.tenant.offboarding.as_ref().is_some_and(|leaving| {
                    matches!(leaving.chase, Chase::Second { served: None, .. })
                });
                let letter = vec![
                    ("wei", Role::Operator, served(now)),
                    ("zhou", Role::Security, Event::CountersignService),
                ];
                if sent { letter } else { Vec::new() }
            }
            Phase::OffboardingApproved => {
                let confirm = Event::ConfirmOffboarding { migrated: true, backed_up: true };
                vec![("chu", Role::Customer, confirm)]
            }
            Phase::Stopped | Phase::WipeFailed => vec![
                ("wei", Role::Operator, Event::ApproveWipe),
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
        if matches!(self.tenant.phase, Phase::WipeFailed) {
            self.stray(1)?;
        }
        self.end_holds()?;
        for (name, role, event) in acts {
            let customer = (role == Role::Customer).then(|| said("bureau"));
            self.happen(event, Actor { name: said(name), role, customer })?;
        }
        if self.tenant.phase == Phase::Wiping {
            self.stray(2)?;
        }
        if self.tenant.wipe.as_ref().is_some_and(|wipe| wipe.attempt == 1) {
            // The first wipe fails on the way home: two persons approve another.
            self.fail(0)?;
        }
        self.obey()?;
        if self.tenant.phase == Phase::WipeVerified {
            self.stray(2)?;
        }
        self.deliver()?;
        self.go(Next::Wake)
    }

    /// Some events that nobody expects here. Their count has no divisor in common with 31, so that
    /// each is chosen some day.
    fn stray(&mut self, count: usize) -> Verdict {
        (0..count).try_for_each(|one| {
            let number = self.log.len() + one;
            self.go(Next::Any(number * 31, number))
        })
    }

    fn end_holds(&mut self) -> Verdict {
        let standing: Vec<u32> =
            self.tenant.holds.iter().filter(|hold| hold.blocks()).map(|hold| hold.number).collect();
        for hold in standing {
            let (document, reason) = (document(), said("over"));
            let release = Event::ReleaseHold { hold, document, reason };
            let by = |name: &str| Actor { name: said(name), role: Role::Security, customer: None };
            self.happen(release, by("shen"))?;
            self.happen(Event::CountersignHold { hold }, by("han"))?;
        }
        Ok(())
    }
}

const ROLES: [Role; 7] = [
    Role::Customer,
    Role::Reviewer,
    Role::Operator,
    Role::Security,
    Role::Auditor,
    Role::Administrator,
    Role::Controller,
];

fn pick(mut events: Vec<Event>, index: usize) -> Event {
    events.swap_remove(index % events.len())
}

fn chosen<T>(all: &[T], index: usize) -> Option<&T> {
    all.get(index % all.len().max(1))
}

/// Tells a history to its end: some of them the way home, and some once more.
fn tell(
    story: &Story,
    worlds: &[World; 2],
    reached: &RefCell<Reached>,
) -> Result<(), TestCaseError> {
    let mut history = History::begin(story.begins, worlds).map_err(TestCaseError::fail)?;
    let mut verdict = story.steps.iter().try_for_each(|next| history.go(*next));
    let mut reached = reached.borrow_mut();
    if verdict.is_ok() && story.steps.len().is_multiple_of(3) {
        verdict = history.go_home();
        reached.homes += 1;
    }
    if verdict.is_ok() && story.steps.len().is_multiple_of(5) {
        verdict = history.replays();
        reached.replays += 1;
    }
    reached.add(&history);
    verdict.map_err(|why| TestCaseError::fail(format!("{why}\n{}", history.lines())))
}

/// Where the histories are drawn from: the same ones each time, unless `HISTORIES_SEED` is another
/// number.
#[expect(clippy::disallowed_methods, reason = "of a test, which has no configuration")]
fn seed() -> u64 {
    std::env::var("HISTORIES_SEED").map_or(1, |text| text.parse().expect("a number"))
}

/// Tells histories until they have come to so many events.
fn run(events: usize, part: u64, worlds: &[World; 2]) -> Reached {
    let reached = RefCell::new(Reached::default());
    // A runner counts its cases for good: each round has one of its own.
    for round in 0_u64.. {
        if reached.borrow().events() >= events {
            break;
        }
        let drawn = (seed() << 32) | (part << 16) | round;
        let config = Config {
            cases: CASES,
            max_shrink_iters: 1_000,
            source_file: Some(file!()),
            rng_seed: RngSeed::Fixed(drawn),
            ..Config::default()
        };
        match TestRunner::new(config).run(&story(), |story| tell(&story, worlds, &reached)) {
            Ok(()) => {}
            Err(TestError::Fail(why, story)) => panic!("{why}\n{story:?}"),
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
    }
    reached.into_inner()
}

#[test]
fn a_million_random_events_keep_the_five_properties() {
    let strict = World::new();
    let mut standard = strict.clone();
    let text =
        crate::core::rules::SHIPPED.replace("icp_gate = \"strict\"", "icp_gate = \"standard\"");
    standard.rules = Rules::parse(&text).expect("rules");
    let worlds = &[strict, standard];
    let mut reached = Reached::default();
    std::thread::scope(|scope| {
        let part = |part| run(EVENTS.div_ceil(RUNNERS), part, worlds);
        let parts: Vec<_> = (0..).take(RUNNERS).map(|one| scope.spawn(move || part(one))).collect();
        for part in parts {
            reached.join(part.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        }
    });
    let accepted: usize = reached.kinds.values().map(|[accepted, _]| accepted).sum();
    let refused = reached.events() - accepted;
    println!("{accepted} accepted, {refused} refused\n{reached:#?}");
    assert!(accepted + refused >= EVENTS);
    everything_was_reached(&reached);
}
