//! Cuts: asserted again and again, and held up by nothing; and what is told of those that were not
//! in force.

use std::collections::BTreeSet;

use tenure_protocol::wire::v1::AlarmKind;

use super::*;

#[test]
fn cuts_are_asserted_at_start_and_on_every_tick_and_end_with_a_restore_alone() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    let mark = sample::cut(1).mark;
    let cut = bench.signed(1, 1, 1, Action::Cut(sample::cut(1)));
    lanes.cut.take(Input::Order(cut)).expect("taken");
    let reports = lanes.reports();
    assert_eq!(states(&reports), ["journalled", "done"]);
    let forget = |there: &mut Observed| there.cut.clear();
    bench.host.tamper(forget);
    lanes.cut.take(Input::Tick).expect("taken");
    assert!(bench.host.state().cut.contains(&mark), "asserted on the tick");
    bench.host.tamper(forget);
    drop(lanes);
    let mut lanes = bench.sound();
    assert!(bench.host.state().cut.contains(&mark), "asserted at start");
    let restore = bench.signed(2, 1, 2, Action::Restore(sample::cut(1)));
    lanes.cut.take(Input::Order(restore)).expect("taken");
    lanes.cut.take(Input::Tick).expect("taken");
    assert!(bench.host.state().cut.is_empty());
    // The first cut, come late and once more, changes nothing.
    let late = bench.signed(3, 1, 1, Action::Cut(sample::cut(1)));
    lanes.cut.take(Input::Order(late)).expect("taken");
    assert!(bench.host.state().cut.is_empty());
    assert_eq!(code(&lanes.reports()), "stale-generation");
}

#[test]
fn a_cut_whose_taps_cannot_be_sealed_is_done_and_its_statement_says_so() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    drop(lanes);
    let mut lanes = bench.sound();
    lanes.reports();
    let key = PublicKey::from(bench.identity.key.public());
    let told = |lanes: &mut Lanes, n, generation, action| {
        lanes.cut.take(Input::Order(bench.signed(n, 1, generation, action))).expect("taken");
        let reports = lanes.reports();
        let Some(OrderState::Done { envelopes, .. }) = reports.last().map(|last| &last.state)
        else {
            panic!("not done: {reports:?}")
        };
        let statement = dsse::open_statement(&envelopes[0], &key).expect("signed");
        let Predicate::NetworkCut(cut) = statement.predicate() else { panic!("another kind") };
        cut.clone()
    };
    let sealed = |cut: &NetworkCut| {
        cut.measured.seal.as_ref().map(|seal| (seal.taps, seal.sealed_read_back))
    };
    for failing in ["no-seal", "packet-filter"] {
        bench.host.fail("seal", failing);
        let generation = if failing == "no-seal" { 1 } else { 3 };
        let id = u128::from(generation) + 9;
        let cut = told(&mut lanes, id, generation, Action::Cut(sample::cut(1)));
        assert!(cut.in_force(), "the first stage stands");
        assert_eq!(sealed(&cut), None);
        let unmeasured = &cut.not_measured;
        assert!(unmeasured.iter().any(|one| one.what.contains("second stage")), "{unmeasured:?}");
        bench.host.heal("seal");
        bench.host.tamper(|there| there.cut.clear());
        lanes.cut.take(Input::Tick).expect("taken");
        let log = bench.host.log();
        let mark = sample::cut(1).mark;
        let last: Vec<&Step> = log.iter().rev().take(2).collect();
        let guard = Step::Guard { cut: BTreeSet::from([mark]) };
        assert_eq!(last, [&Step::Seal { mark }, &guard], "on a tick");
        let restore = Action::Restore(sample::cut(1));
        let restored = told(&mut lanes, id + 1, generation + 1, restore);
        assert_eq!(sealed(&restored).map(|(_, sealed)| sealed), Some(0));
    }
    let cut = told(&mut lanes, 20, 9, Action::Cut(sample::cut(1)));
    let (taps, read_back) = sealed(&cut).expect("measured");
    assert!(taps > 0 && taps == read_back && cut.in_force());
    assert!(cut.not_measured.iter().all(|one| !one.what.contains("second stage")));
}

/// The lane reads what is in its inbox, to the end.
fn run(lanes: &mut Lanes, orders: Vec<SignedOrder>) {
    let (inbox, messages) = mpsc::sync_channel(MAX_INBOX);
    let all = orders.into_iter().map(Input::Order).chain([Input::Stop]);
    all.for_each(|input| inbox.send(input).expect("room"));
    lanes.cut.run(&messages).expect("to its end");
}

#[test]
fn cuts_that_are_there_together_are_one_transaction_and_each_is_reported_for_itself() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    let cut = |id, n, generation| bench.signed(id, n, generation, Action::Cut(sample::cut(n)));
    let restore = bench.signed(4, 2, 2, Action::Restore(sample::cut(2)));
    // The third is the first once more, and the last waits behind a restore.
    run(&mut lanes, vec![cut(1, 1, 1), cut(2, 2, 1), cut(1, 1, 1), restore, cut(5, 3, 1)]);
    let marks = [1, 2].map(|n| sample::cut(n).mark);
    let log = bench.host.log();
    let isolations: Vec<&Step> = log
        .iter()
        .filter(|step| {
            matches!(step, Step::Cut { .. } | Step::CutAll { .. } | Step::Restore { .. })
        })
        .collect();
    let [Step::CutAll { marks: both }, Step::Restore { mark }, Step::Cut { mark: last }] =
        isolations.as_slice()
    else {
        panic!("{isolations:?}")
    };
    assert_eq!((both, *mark, *last), (&marks.into(), marks[1], sample::cut(3).mark));
    let reports = lanes.reports();
    let of = |id: u128| -> Vec<Report> {
        let is_it = |one: &&Report| one.order == sample::order_id(id);
        reports.iter().filter(is_it).cloned().collect()
    };
    let t0 = |id| match &of(id)[1].state {
        OrderState::Done { outcome: Outcome::Cut(interval), envelopes } => {
            assert_eq!(envelopes.len(), 1, "its own statement");
            *interval
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(t0(1), t0(2), "one commit");
    assert_eq!(states(&of(4)), ["journalled", "done"]);
    assert_eq!(states(&of(5)), ["journalled", "done"]);
    let there = bench.host.state().cut;
    assert!(there.contains(&marks[0]) && !there.contains(&marks[1]));
}

#[test]
fn where_the_kernel_does_not_take_them_together_each_cut_is_tried_and_reported_alone() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    bench.host.fail("cut", "packet-filter");
    let cut = |n: u128| bench.signed(n, n, 1, Action::Cut(sample::cut(n)));
    run(&mut lanes, vec![cut(1), cut(2)]);
    let reports = lanes.reports();
    let said = ["journalled", "journalled", "failed", "failed"];
    assert_eq!((states(&reports), code(&reports)), (said.to_vec(), "packet-filter"));
    bench.host.heal("cut");
    lanes.cut.take(Input::Tick).expect("taken");
    assert_eq!(bench.host.state().cut.len(), 2, "what is journalled is asserted all the same");
}

#[test]
fn a_hundred_cuts_that_wait_are_in_force_before_the_first_is_proved() {
    let bench = Bench::new();
    let mut lanes = bench.sound();
    let cuts = (1..=100).map(|n| bench.signed(n, n, 1, Action::Cut(sample::cut(n))));
    run(&mut lanes, cuts.collect());
    let log = bench.host.log();
    let first = log.iter().position(|step| matches!(step, Step::CutAll { .. }));
    let proof = log.iter().position(|step| matches!(step, Step::Prove { .. }));
    assert!(first < proof, "{first:?} {proof:?}");
    assert_eq!(bench.host.state().cut.len(), 100);
    assert_eq!(lanes.reports().len(), 200);
}

#[test]
fn a_cut_goes_through_while_a_wipe_is_blocked() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    drop(lanes);
    let engine = bench.start(Clock::default(), bench.alarms());
    let (outlet, reports) = mpsc::sync_channel(MAX_OUTLET);
    engine.deliver(Lane::Work, Input::Connected(outlet.clone())).expect("taken");
    engine.deliver(Lane::Cut, Input::Connected(outlet)).expect("taken");
    bench.host.block("wipe volume");
    engine.deliver(Lane::Work, Input::Order(bench.wipe(2, 2))).expect("taken");
    let until = |wanted: fn(&OrderState) -> bool| loop {
        let report = reports.recv_timeout(Duration::from_secs(20)).expect("a report in time");
        if wanted(&report.state) {
            return report;
        }
    };
    let announced = until(|state| matches!(state, OrderState::Intent { .. }));
    let receipt = bench.receipt(announced.order, &intent(std::slice::from_ref(&announced)));
    engine.deliver(Lane::Work, Input::IntentReceipt(receipt)).expect("taken");
    bench.host.wait_until_blocked("wipe volume");
    let cut = bench.signed(3, 1, 1, Action::Cut(sample::cut(1)));
    engine.deliver(Lane::Cut, Input::Order(cut)).expect("taken");
    let done = until(|state| matches!(state, OrderState::Done { outcome: Outcome::Cut(_), .. }));
    assert_eq!(done.order, sample::order_id(3));
    // Orders of other tenants are acknowledged meanwhile, too.
    let wanted = sample::wanted(2, Power::Running);
    let other = bench.signed(4, 2, 1, Action::Configure(wanted));
    engine.deliver(Lane::Work, Input::Order(other)).expect("taken");
    let journalled = until(|state| matches!(state, OrderState::Journalled));
    assert_eq!(journalled.order, sample::order_id(4));
    bench.host.release("wipe volume");
    until(|state| matches!(state, OrderState::Done { outcome: Outcome::Wiped, .. }));
    assert!(matches!(engine.stop(), EngineFailure::Stopped));
}

#[test]
fn what_others_changed_is_mended_and_told_once_for_each_time() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    drop(lanes);
    let (alarms, now) = (bench.alarms(), Clock::default().now());
    // Time stands still: no tick looks for anybody.
    let engine = bench.start(Clock::simulated(now), Arc::clone(&alarms));
    let (outlet, reports) = mpsc::sync_channel(MAX_OUTLET);
    engine.deliver(Lane::Cut, Input::Connected(outlet)).expect("taken");
    let cut = bench.signed(3, 1, 1, Action::Cut(sample::cut(1)));
    engine.deliver(Lane::Cut, Input::Order(cut)).expect("taken");
    while !matches!(reports.recv().expect("a report").state, OrderState::Done { .. }) {}
    // What a start puts in order is through, and mends nothing in silence any more.
    let (outlet, reports) = mpsc::sync_channel(MAX_OUTLET);
    engine.deliver(Lane::Work, Input::Connected(outlet)).expect("taken");
    let again = bench.configure(4, 2, Power::Running);
    engine.deliver(Lane::Work, Input::Order(again)).expect("taken");
    let is_its_end = |report: Report| {
        report.order == sample::order_id(4) && matches!(report.state, OrderState::Done { .. })
    };
    while !is_its_end(reports.recv().expect("a report")) {}
    assert_eq!(alarms.oldest(9), [], "all is well");
    bench.host.tamper(|there| {
        there.cut.clear();
        there.policy = None;
    });
    engine.nudge().send(()).expect("nudged");
    let told = || {
        let mut kinds: Vec<_> = alarms.oldest(9).iter().map(|alarm| alarm.kind).collect();
        kinds.sort();
        kinds
    };
    let both = [AlarmKind::PacketFilter, AlarmKind::CutNotInForce];
    let patience = std::time::Duration::from_secs(20);
    let began = crate::clock::monotonic();
    while told() != both && crate::clock::monotonic().saturating_sub(began) < patience {
        std::thread::yield_now();
    }
    assert_eq!(told(), both);
    let kept = alarms.oldest(9);
    let not_cut = kept.iter().find(|alarm| alarm.kind == AlarmKind::CutNotInForce);
    assert_eq!(not_cut.and_then(|alarm| alarm.tenant), Some(sample::tenant(1)));
    assert!(kept.iter().all(|alarm| alarm.repaired) && kept[0].sequence != kept[1].sequence);
    assert!(bench.host.state().cut.contains(&sample::cut(1).mark));
    assert!(matches!(engine.stop(), EngineFailure::Stopped));
}
