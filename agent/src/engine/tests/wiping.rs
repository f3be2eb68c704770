//! Wipes: the intent and its proof, and what counts as failed.

use super::*;

#[test]
fn a_wipe_waits_for_a_proof_that_its_intent_is_logged_and_believes_no_other() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    let reports = lanes.order(bench.wipe(2, 2));
    assert_eq!(states(&reports), ["journalled", "intent"]);
    let (order, intent) = (sample::order_id(2), intent(&reports));
    let key = PublicKey::from(bench.identity.key.public());
    let statement = dsse::open_statement(&intent, &key).expect("signed by the host key");
    assert!(matches!(statement.predicate(), Predicate::WipeIntent(one) if one.targets.len() == 4));
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let forgeries = [
        bench.receipt_by(&stranger, order, Digest::of(&intent)),
        bench.receipt_by(&bench.ledger, order, Digest::of(b"another intent")),
        IntentReceipt { index: 1, ..bench.receipt(order, &intent) },
        IntentReceipt { order: sample::order_id(1), ..bench.receipt(order, &intent) },
    ];
    for forgery in forgeries {
        lanes.work.take(Input::IntentReceipt(forgery)).expect("passed over");
        lanes.run_work().expect("nothing to do");
        assert!(!bench.destroyed_anything());
    }
    // Not even a receipt for the report itself, or a restart, lets it go on.
    let sequence = reports.last().expect("intent").sequence;
    lanes.work.take(Input::ReportReceipt(ReportReceipt { order, sequence })).expect("taken");
    drop(lanes);
    let lanes = bench.sound();
    lanes.run_work().expect("nothing to do");
    assert!(!bench.destroyed_anything());
    assert_eq!(states(&lanes.reports()), ["journalled", "done", "intent"], "said again");
    lanes.work.take(Input::IntentReceipt(bench.receipt(order, &intent))).expect("taken");
    lanes.run_work().expect("performed");
    assert!(bench.destroyed_anything());
    let reports = lanes.reports();
    let OrderState::Done { outcome: Outcome::Wiped, envelopes } =
        &reports.last().expect("a report").state
    else {
        panic!("not wiped: {reports:?}")
    };
    assert_eq!(envelopes.len(), 6, "two of each volume, one of each memory");
    for envelope in envelopes {
        let statement = dsse::open_statement(envelope, &key).expect("signed");
        assert_eq!(statement.predicate().wipe_result(), Some(WipeResult::Pass));
    }
    let state = bench.host.state();
    assert!(state.volumes.is_empty() && state.instances.is_empty() && state.taps.is_empty());
    assert_eq!(code(&lanes.order(bench.configure(3, 3, Power::Running))), "tenant-wiped");
}

#[test]
fn a_wipe_whose_intent_is_not_taken_fails_destroys_nothing_and_leaves_the_way_free() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    let reports = lanes.order(bench.wipe(2, 2));
    let announced = reports.last().expect("intent").clone();
    let refusal = |sequence| {
        let (code, message) = ("evidence-bad".to_owned(), "another key".to_owned());
        Input::IntentRefusal(IntentRefusal { order: announced.order, sequence, code, message })
    };
    lanes.work.take(refusal(announced.sequence + 1)).expect("passed over");
    assert_eq!(lanes.reports(), vec![], "that is no refusal of this intent");
    lanes.work.take(refusal(announced.sequence)).expect("taken");
    lanes.run_work().expect("nothing to do");
    let reports = lanes.reports();
    assert_eq!(code(&reports), "intent-refused");
    assert!(!bench.destroyed_anything());
    // A receipt that comes too late releases nothing, and the intent is said no more.
    let receipt = bench.receipt(announced.order, &intent(std::slice::from_ref(&announced)));
    lanes.work.take(Input::IntentReceipt(receipt)).expect("passed over");
    lanes.run_work().expect("nothing to do");
    assert!(!bench.destroyed_anything());
    drop(lanes);
    let lanes = bench.sound();
    assert_eq!(states(&lanes.reports()), ["done", "failed"], "said again");
    assert_eq!(states(&lanes.order(bench.wipe(3, 3))), ["journalled", "intent"], "a new attempt");
}

#[test]
fn what_is_not_found_or_cannot_be_wiped_is_a_failure_and_stays_on_the_inventory() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    let gone = sample::wanted(1, Power::Running).instances[0].volumes[0].volume;
    bench.host.tamper(|there| {
        there.volumes.remove(&gone);
    });
    let reports = lanes.order(bench.wipe(2, 2));
    let receipt = bench.receipt(sample::order_id(2), &intent(&reports));
    lanes.work.take(Input::IntentReceipt(receipt)).expect("taken");
    lanes.run_work().expect("performed");
    let reports = lanes.reports();
    assert_eq!(code(&reports), "wipe-incomplete");
    let records = lanes.work.desk().records().clone();
    let tenant = &records.tenants[&sample::tenant(1)];
    assert_eq!(tenant.inventory.len(), 1, "all else was wiped");
    assert_eq!(tenant.fate, crate::core::record::Fate::Destroying);
    assert_eq!(code(&lanes.order(bench.configure(3, 3, Power::Running))), "tenant-wiped");
}

#[test]
fn a_step_that_fails_without_facts_leaves_a_signed_statement_of_each_subject() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    let reports = lanes.order(bench.wipe(2, 2));
    bench.host.fail("wipe volume", "io");
    bench.host.fail("wipe memory", "io");
    let receipt = bench.receipt(sample::order_id(2), &intent(&reports));
    lanes.work.take(Input::IntentReceipt(receipt)).expect("taken");
    lanes.run_work().expect("performed");
    let report = lanes.reports().pop().expect("a report");
    let OrderState::Failed { envelopes, .. } = report.state else { panic!("{report:?}") };
    let key = PublicKey::from(bench.identity.key.public());
    let results: Vec<WipeResult> = envelopes
        .iter()
        .map(|one| {
            let statement = dsse::open_statement(one, &key).expect("signed by the host key");
            match statement.predicate() {
                Predicate::MediaWipe(one) => one.conclusion().result,
                Predicate::KeyErasure(one) => one.conclusion().result,
                Predicate::MemoryWipe(one) => one.conclusion().result,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(results, [WipeResult::Aborted; 6], "two of each volume, one of each memory");
    let mut work = lanes.work.desk();
    work.receipted(ReportReceipt { order: report.order, sequence: report.sequence })
        .expect("taken");
    work.tick().expect("kept");
    assert!(work.records().orders.contains_key(&report.order));
}
