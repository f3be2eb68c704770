//! Cuts and restores that a person on the host orders, without a controller.

use tenure_protocol::{
    evidence::predicate::network_cut::Direction, generation::Generation, wire::v1::ReportReceipt,
};

use super::*;
use crate::{
    core::record::{Isolation, LocalStage},
    engine::{
        local::{LocalAnswer, LocalAsk, LocalInput, TenantStands},
        reserve::Reserved,
    },
};

impl Lanes {
    fn local(&mut self, ask: LocalAsk) -> Result<LocalAnswer, EngineFailure> {
        let (answer, answers) = mpsc::sync_channel(1);
        self.cut.take(Input::Local(LocalInput { ask, answer }))?;
        Ok(answers.try_recv().expect("an answer"))
    }

    fn act(&mut self, direction: Direction, reason: &str) -> Result<LocalAnswer, EngineFailure> {
        let (login, by) = (("root".to_owned(), 0), Some("wang.lei".to_owned()));
        let (tenant, mark) = (sample::tenant(1), Some(sample::cut(1).mark));
        let reason = reason.to_owned();
        self.local(LocalAsk::Act { tenant, mark, direction, login, by, reason })
    }

    fn status(&mut self) -> Vec<TenantStands> {
        let here = [(sample::tenant(1), sample::cut(1).mark)].into();
        match self.local(LocalAsk::Status(here)).expect("answered") {
            LocalAnswer::Status(tenants) => tenants,
            other => panic!("{other:?}"),
        }
    }
}

fn refused(answer: &LocalAnswer) -> &str {
    match answer {
        LocalAnswer::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

/// The statements of the one local report among these.
fn reported(bench: &Bench, reports: &[Report]) -> Vec<NetworkCut> {
    let local = reports.iter().filter_map(|report| match &report.state {
        OrderState::Local { envelopes } => Some(envelopes),
        _ => None,
    });
    let [envelopes] = local.collect::<Vec<_>>()[..] else { panic!("{reports:?}") };
    let key = PublicKey::from(bench.identity.key.public());
    let open = |envelope: &Vec<u8>| {
        let statement = dsse::open_statement(envelope, &key).expect("signed and honest");
        let Predicate::NetworkCut(cut) = statement.predicate() else { panic!("another kind") };
        cut.clone()
    };
    envelopes.iter().map(open).collect()
}

#[test]
fn a_person_on_the_host_cuts_it_is_signed_so_and_stays_through_restarts() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    let mark = sample::cut(1).mark;
    let answer = lanes.act(Direction::Cut, "flood").expect("taken");
    let LocalAnswer::Done { cut, interval, envelope, .. } = answer else { panic!("{answer:?}") };
    assert!(bench.host.state().cut.contains(&mark) && envelope.is_some());
    let reports = lanes.reports();
    let stated = reported(&bench, &reports);
    let [stated] = &stated[..] else { panic!("{stated:?}") };
    let local = stated.local.as_ref().expect("of a local order");
    assert_eq!((local.person().as_str(), &*local.reason), ("wang.lei (login root)", "flood"));
    assert!(stated.in_force() && stated.cut == cut && stated.measured.proof.is_some());
    assert_eq!(stated.measured.earliest, interval.earliest);
    assert_eq!(refused(&lanes.act(Direction::Cut, "again").expect("taken")), "cut-here");
    bench.host.tamper(|there| there.cut.clear());
    drop(lanes);
    let mut lanes = bench.sound();
    assert!(bench.host.state().cut.contains(&mark), "asserted at start");
    let again = reported(&bench, &lanes.reports());
    assert_eq!(again, std::slice::from_ref(stated), "said again, as it was");
    let stands = lanes.status();
    assert_eq!(stands[0].cut, Some(cut));
    assert_eq!(stands[0].local.as_ref(), Some(local));
}

#[test]
fn a_crash_between_the_journal_and_the_kernel_is_made_up_for_at_the_next_start() {
    for (after, durable) in [(0, false), (0, true), (1, false), (1, true)] {
        let bench = Bench::new();
        let mut lanes = bench.lanes(Fault { after: Some(after), durable }).expect("begun");
        lanes.act(Direction::Cut, "flood").expect_err("the process ends here");
        drop(lanes);
        let mut lanes = bench.sound();
        let journalled = (after, durable) != (0, false);
        let cut = bench.host.state().cut.contains(&sample::cut(1).mark);
        assert_eq!(cut, journalled, "{after} {durable}");
        let told = lanes.reports();
        if journalled {
            assert_eq!(reported(&bench, &told).len(), 1, "{after} {durable}");
        }
        assert_eq!(lanes.status()[0].local.is_some(), journalled);
    }
}

#[test]
fn what_the_kernel_does_not_take_is_tried_again_on_every_tick() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    bench.host.fail("cut", "packet-filter");
    let cut = tenure_protocol::id::CutId::from_uuid(uuid::Uuid::from_u128(1));
    bench.reserve.keep(sample::tenant(1), Reserved { cut, after_ms: 120_000 });
    let answer = lanes.act(Direction::Cut, "flood").expect("taken");
    let LocalAnswer::NotYet { code, direction, told_after_ms, .. } = answer else {
        panic!("{answer:?}")
    };
    let who = (direction, told_after_ms);
    assert_eq!((code.as_str(), who), ("packet-filter", (Direction::Cut, Some(120_000))));
    assert!(lanes.reports().is_empty());
    bench.host.heal("cut");
    lanes.cut.take(Input::Tick).expect("taken");
    assert!(bench.host.state().cut.contains(&sample::cut(1).mark));
    assert_eq!(reported(&bench, &lanes.reports()).len(), 1);
}

#[test]
fn a_restore_before_the_controller_knows_is_told_with_its_cut_in_one_report() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    lanes.act(Direction::Cut, "drill").expect("taken");
    lanes.reports();
    let answer = lanes.act(Direction::Restore, "over").expect("taken");
    assert!(matches!(answer, LocalAnswer::Done { .. }), "{answer:?}");
    assert!(bench.host.state().cut.is_empty());
    drop(lanes);
    let mut lanes = bench.sound();
    assert!(bench.host.state().cut.is_empty(), "and stays so");
    let told = reported(&bench, &lanes.reports());
    let ways: Vec<Direction> = told.iter().map(|one| one.direction).collect();
    assert_eq!(ways, [Direction::Cut, Direction::Restore]);
    assert!(told[0].cut == told[1].cut && told.iter().all(NetworkCut::in_force));
    assert_eq!(refused(&lanes.act(Direction::Restore, "again").expect("taken")), "not-cut");
    let answer = lanes.act(Direction::Cut, "flood").expect("taken");
    let LocalAnswer::Done { cut, .. } = answer else { panic!("{answer:?}") };
    assert_ne!(cut, told[0].cut, "the next cut is another one");
}

#[test]
fn no_receipt_takes_a_cut_over_and_an_order_that_the_controller_signed_does() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    lanes.act(Direction::Cut, "flood").expect("taken");
    let reports = lanes.reports();
    let cut = reported(&bench, &reports)[0].cut;
    // A restore that was ordered before anybody knew of this cut does not end it.
    let order = |id, generation, at: i64, action| {
        let at = Clock::default().now().plus_ms(at);
        let order = sample::order(id, 1, generation, at, action);
        SignedOrder::sign(&order, &bench.order_key).expect("signed")
    };
    let mark = sample::cut(1).mark;
    let of = tenure_protocol::wire::v1::CutOrder { cut, mark };
    let old = order(1, 1, -5_000, Action::Restore(sample::cut(1)));
    lanes.cut.take(Input::Order(old)).expect("taken");
    assert_eq!(code(&lanes.reports()), "cut-here-since");
    let last = reports.last().expect("a report");
    let receipt = ReportReceipt { order: last.order, sequence: last.sequence };
    lanes.cut.take(Input::ReportReceipt(receipt)).expect("taken");
    // Receipts are not signed: a new session hears of it once more, until an order supersedes it.
    drop(lanes);
    let mut lanes = bench.sound();
    assert_eq!(reported(&bench, &lanes.reports())[0].cut, cut);
    lanes.cut.take(Input::Order(order(2, 2, 1, Action::Cut(of)))).expect("taken");
    assert_eq!(states(&lanes.reports()), ["journalled", "done"]);
    let restore = lanes.act(Direction::Restore, "over").expect("taken");
    assert_eq!(refused(&restore), "restore-by-controller");
    assert!(lanes.status()[0].local.is_none(), "it is the controller's");
    lanes.cut.take(Input::Order(order(3, 3, 2, Action::Restore(of)))).expect("taken");
    assert!(bench.host.state().cut.is_empty());
    let records = lanes.cut.desk.records();
    let isolation = &records.isolations[&sample::tenant(1)];
    assert_eq!((isolation.isolation, isolation.generation), (Isolation::Connected, Generation(3)));
    assert!(records.locals.values().all(|one| matches!(one.stage, LocalStage::Done { .. })));
}

#[test]
fn a_receipt_that_the_network_side_forged_keeps_nobody_from_ending_the_cut() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    lanes.act(Direction::Cut, "flood").expect("taken");
    for report in lanes.reports() {
        let receipt = ReportReceipt { order: report.order, sequence: report.sequence };
        lanes.cut.take(Input::ReportReceipt(receipt)).expect("taken");
    }
    assert!(lanes.cut.desk.records().queue.is_empty(), "it is said no more in this session");
    let ended = lanes.act(Direction::Restore, "over").expect("taken");
    assert!(matches!(ended, LocalAnswer::Done { .. }), "{ended:?}");
    assert!(bench.host.state().cut.is_empty());
    assert_eq!(reported(&bench, &lanes.reports()).len(), 2, "both are told again");
}

#[test]
fn a_cut_takes_the_id_of_the_standing_packet_once_and_gives_it_back_if_it_is_refused() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    let reserved = |n| Reserved {
        cut: tenure_protocol::id::CutId::from_uuid(uuid::Uuid::from_u128(n)),
        after_ms: 120_000,
    };
    let tenant = sample::tenant(1);
    bench.reserve.keep(tenant, reserved(1));
    assert_eq!(refused(&lanes.act(Direction::Cut, " ").expect("taken")), "words");
    assert_eq!(lanes.status()[0].told_after_ms, Some(120_000), "given back");
    let answer = lanes.act(Direction::Cut, "flood").expect("taken");
    let LocalAnswer::Done { cut, told_after_ms, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((cut, told_after_ms), (reserved(1).cut, Some(120_000)));
    assert_eq!(bench.reserve.of(tenant), None, "in use");
    lanes.act(Direction::Restore, "over").expect("taken");
    // As after a crash in which the watch had not heard of the cut: it offers the same one again.
    bench.reserve.keep(tenant, reserved(1));
    let answer = lanes.act(Direction::Cut, "flood").expect("taken");
    let LocalAnswer::Done { cut, told_after_ms, .. } = answer else { panic!("{answer:?}") };
    assert_ne!(cut, reserved(1).cut, "once");
    assert_eq!(told_after_ms, None);
}

#[test]
fn who_is_not_here_and_words_that_are_none_are_refused_and_nothing_is_journalled() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    let ask = |reason: &str, mark| LocalAsk::Act {
        tenant: sample::tenant(7),
        mark,
        direction: Direction::Cut,
        login: ("li".to_owned(), 1000),
        by: None,
        reason: reason.to_owned(),
    };
    let unknown = lanes.local(ask("flood", None)).expect("taken");
    assert_eq!(refused(&unknown), "unknown-tenant");
    let wordless = lanes.local(ask("a\nb", Some(sample::cut(1).mark))).expect("taken");
    assert_eq!(refused(&wordless), "words");
    assert!(lanes.cut.desk.records().locals.is_empty() && lanes.reports().is_empty());
    assert!(bench.host.log().iter().all(|step| !matches!(step, Step::Cut { .. })));
}
