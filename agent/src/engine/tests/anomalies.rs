//! What the sampler finds, and what it tells of it.

use tenure_protocol::wire::v1::{Alarm, AlarmKind, Measure};

use super::*;
use crate::core::{
    anomaly::{BEGIN, END, Watch},
    ruleset::tap_name,
};

#[test]
fn a_flood_of_a_tenant_is_told_with_its_figures_once_and_that_it_is_over_once() {
    let bench = Bench::new();
    let lanes = bench.sound();
    lanes.order(bench.configure(1, 1, Power::Running));
    let alarms = bench.alarms();
    let clock = Clock::default();
    let sampler = Sampler {
        host: bench.host.clone(),
        work_lane: Arc::new(lanes.work),
        herald: Arc::new(Herald::new(
            Arc::clone(&alarms),
            Arc::new(Sequence::of_start(9)),
            clock.clone(),
        )),
        clock,
    };
    let tap = tap_name(sample::instance(17));
    let mut watch = Watch::default();
    let mut look = |packets: u64| {
        bench.host.count(|sample| {
            sample.at_ms += 2_000;
            sample.taps.entry(tap.clone()).or_default().packets_sent += packets;
        });
        sampler.look(&mut watch);
    };
    (0..=BEGIN + 20).for_each(|_| look(1_000_000));
    (0..END + 20).for_each(|_| look(10));
    let told = alarms.oldest(99).into_iter();
    let sent = |alarm: &Alarm| alarm.figures.map(|one| one.measure) == Some(Measure::PacketsSent);
    let (told, unasked): (Vec<_>, Vec<_>) = told.partition(sent);
    assert_eq!(unasked.len(), 2, "nothing was sent to it: {unasked:?}");
    let [begun, over] = &told[..] else { panic!("{told:?}") };
    assert_eq!((begun.kind, begun.repaired), (AlarmKind::PacketFlood, false));
    assert_eq!((begun.tenant, begun.subject.as_str()), (Some(sample::tenant(1)), tap.as_str()));
    let figures = begun.figures.expect("figures");
    assert_eq!((figures.measure, figures.rate), (Measure::PacketsSent, 500_000));
    assert_eq!(figures.threshold, sample::THRESHOLDS.packets_per_s);
    assert!(over.repaired && over.sequence > begun.sequence, "{over:?}");
    assert_eq!(over.figures.map(|figures| figures.rate), Some(5));
}
