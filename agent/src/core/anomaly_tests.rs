use uuid::Uuid;

use super::*;
use crate::core::sample::{THRESHOLDS, instance, tenant};

/// How far the samples of these tests are apart, ms.
const STEP_MS: u64 = 2_000;

/// The counters of two instances' taps, and of their disks, by how much each grows in a sample.
#[derive(Default)]
struct Host {
    sample: Sample,
    watch: Watch,
}

impl Host {
    fn watched() -> Watched {
        Watched::of([1, 2].map(|n| (instance(n), tenant(n), THRESHOLDS)))
    }

    /// One more sample, in which instance `n` sent so many packets; what is told but for those that
    /// it sent unasked.
    fn send(&mut self, packets: [u64; 2]) -> Vec<Anomaly> {
        self.step(|sample| {
            for (n, more) in (1..).zip(packets) {
                let tap = sample.taps.entry(tap_name(instance(n))).or_default();
                tap.packets_sent += more;
                tap.bytes_sent += more * 60;
            }
        })
    }

    /// One more sample, in which the first instance was given so many packets and sent so many.
    fn answer(&mut self, [given, sent]: [u64; 2]) -> Vec<(Measure, bool)> {
        self.sample.at_ms += STEP_MS;
        let tap = self.sample.taps.entry(tap_name(instance(1))).or_default();
        tap.packets_received += given;
        tap.packets_sent += sent;
        let told = self.watch.judge(self.sample.clone(), &Self::watched());
        told.into_iter().map(|one| (one.figures.measure, one.over)).collect()
    }

    fn step(&mut self, change: impl FnOnce(&mut Sample)) -> Vec<Anomaly> {
        self.sample.at_ms += STEP_MS;
        change(&mut self.sample);
        let told = self.watch.judge(self.sample.clone(), &Self::watched()).into_iter();
        told.filter(|one| one.figures.measure != Measure::PacketsUnasked).collect()
    }
}

/// Packets in one sample that are over the threshold.
const FLOOD: u64 = THRESHOLDS.packets_per_s * STEP_MS / 1000 + 2;

#[test]
fn rows_of_taps_are_read_and_other_rows_are_others() {
    let text = "Inter-|   Receive                            |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n\
        \u{20}   lo:       9       9    0    0    0     0          0         0        9       9 0\n\
        tap-a1: 600 10 0 3 0 0 0 0 1200 20 0 0 0 0 0 0\n\
        tap-a2:18446744073709551615 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
        tap-bad: 1 2 x\ntap-\u{e9}: 1 2 3 4 5 6 7 8 9 10\n";
    let found = taps(text);
    assert_eq!(found.len(), 2, "{found:?}");
    let a1 = found[&TapName::parse("tap-a1").expect("a name")];
    let wanted = TapCounters {
        bytes_sent: 600,
        packets_sent: 10,
        bytes_received: 1200,
        packets_received: 20,
    };
    assert_eq!(a1, wanted);
    for nothing in ["", "tap-a1:", ":", "tap-a1: 1 2 3 4 5 6 7 8 9"] {
        assert!(taps(nothing).is_empty(), "{nothing:?}");
    }
}

#[test]
fn processors_and_storage_are_read_and_less_is_nothing() {
    let text = "cpu  10 1 5 70 4 1 2 7 3 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
    assert_eq!(processors(text), Some(Processors { total: 100, idle: 74, steal: 7 }));
    for nothing in ["", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  a b c d e f g h"] {
        assert_eq!(processors(nothing), None, "{nothing:?}");
    }
    let text = "rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\n\
                cancelled_write_bytes: 5\n";
    assert_eq!(storage_bytes(text), Some(12_288));
    assert_eq!(storage_bytes("read_bytes: 1\n"), None);
}

#[test]
fn a_flood_is_told_once_when_it_begins_and_once_when_it_is_over_on_its_tap_alone() {
    let mut host = Host::default();
    assert_eq!(host.send([0, 0]), [], "one sample says nothing");
    assert_eq!(host.send([FLOOD, 9]), []);
    assert_eq!(host.send([FLOOD, 9]), []);
    let told = host.send([FLOOD, 9]);
    let [anomaly] = &told[..] else { panic!("{told:?}") };
    assert_eq!(anomaly.subject, tap_name(instance(1)).as_str());
    assert_eq!((anomaly.tenant, anomaly.over), (Some(tenant(1)), false));
    let figures = Figures {
        measure: Measure::PacketsSent,
        rate: FLOOD * 1000 / STEP_MS,
        threshold: THRESHOLDS.packets_per_s,
        window_ms: 3 * STEP_MS,
    };
    assert_eq!(anomaly.figures, figures);
    let bytes = format!("({} bytes a second)", FLOOD * 60 * 1000 / STEP_MS);
    assert!(anomaly.what.contains(&bytes), "{}", anomaly.what);
    for _ in 0..100 {
        assert_eq!(host.send([FLOOD, 9]), []);
    }
    // A pause that is shorter than what ends it begins nothing anew.
    for _ in 1..END {
        assert_eq!(host.send([0, 9]), []);
    }
    assert_eq!(host.send([FLOOD, 9]), []);
    for _ in 1..END {
        assert_eq!(host.send([1, 9]), []);
    }
    let told = host.send([1, 9]);
    let [end] = &told[..] else { panic!("{told:?}") };
    assert!(end.over && end.figures.rate == 0 && end.figures.window_ms == 5 * STEP_MS, "{end:?}");
    for _ in 0..100 {
        assert_eq!(host.send([1, 9]), []);
    }
    assert!(host.watch.streaks.is_empty(), "nothing is kept of what is quiet");
    // A tenant that goes is watched no longer, and its flood is over.
    (0..BEGIN).for_each(|_| drop(host.send([FLOOD, 9])));
    let told: Vec<_> = (0..END + 5)
        .flat_map(|_| {
            host.sample.at_ms += STEP_MS;
            host.watch.judge(host.sample.clone(), &Watched::default())
        })
        .filter(|one| one.figures.measure == Measure::PacketsSent)
        .collect();
    let [gone] = &told[..] else { panic!("{told:?}") };
    assert!(gone.over && gone.tenant == Some(tenant(1)), "{gone:?}");
    assert_eq!(gone.figures.threshold, THRESHOLDS.packets_per_s);
    let alarm = end.clone().alarm(7, Timestamp::from_unix_ms(1));
    assert!(alarm.repaired && alarm.figures == Some(end.figures) && alarm.sequence == 7);
}

#[test]
fn answers_to_a_flood_are_not_unasked_for_and_what_is_sent_besides_them_is() {
    use Measure::{PacketsReceived, PacketsSent, PacketsUnasked};
    let mut host = Host::default();
    let told = |host: &mut Host, samples, packets| -> Vec<(Measure, bool)> {
        (0..samples).flat_map(|_| host.answer(packets)).collect()
    };
    assert_eq!(told(&mut host, 1, [0, 0]), []);
    let answered = told(&mut host, BEGIN + 5, [FLOOD, FLOOD]);
    assert_eq!(answered, [(PacketsSent, false), (PacketsReceived, false)]);
    // It is flooded still, and floods by itself beyond that: this is told by itself.
    assert_eq!(told(&mut host, BEGIN + 5, [FLOOD, 2 * FLOOD]), [(PacketsUnasked, false)]);
    assert_eq!(told(&mut host, END + 5, [FLOOD, FLOOD]), [(PacketsUnasked, true)]);
    let over = told(&mut host, END + 5, [0, 0]);
    assert_eq!(over, [(PacketsSent, true), (PacketsReceived, true)]);
    let alone = told(&mut host, BEGIN + 5, [0, FLOOD]);
    assert_eq!(alone, [(PacketsSent, false), (PacketsUnasked, false)]);
    host.sample.taps.clear();
    host.sample.at_ms += STEP_MS;
    let gone = (0..END).flat_map(|_| {
        host.sample.at_ms += STEP_MS;
        host.watch.judge(host.sample.clone(), &Host::watched())
    });
    assert_eq!(gone.filter(|one| one.over).count(), 2, "both end with the tap");
    assert!(host.watch.streaks.is_empty());
}

#[test]
fn what_is_exactly_at_its_threshold_is_none_nor_is_a_peak_that_passes() {
    let mut host = Host::default();
    for _ in 0..10 {
        assert_eq!(host.send([FLOOD - 2, 0]), []);
    }
    for _ in 0..10 {
        for packets in [FLOOD * 9, FLOOD * 9, 0] {
            assert_eq!(host.send([packets, 0]), []);
        }
    }
}

#[test]
fn a_tap_that_is_made_anew_has_no_rate_and_one_that_goes_ends_its_flood() {
    let mut host = Host::default();
    let tap = tap_name(instance(1));
    host.send([u64::MAX / 61, 0]);
    for _ in 0..10 {
        let told = host.step(|sample| {
            let tap = sample.taps.get_mut(&tap).expect("there");
            tap.packets_sent = if tap.packets_sent == 5 { 4 } else { 5 };
        });
        assert_eq!(told, [], "a counter that went back");
    }
    for _ in 0..2 {
        host.send([FLOOD, 0]);
    }
    // Anew in the midst of a flood: that sample counts neither way.
    let anew = host.step(|sample| *sample.taps.get_mut(&tap).expect("there") = Default::default());
    assert_eq!(anew, []);
    assert_eq!(host.send([FLOOD, 0]).len(), 1);
    for _ in 1..END {
        assert_eq!(host.step(|sample| sample.taps.retain(|known, _| *known != tap)), []);
    }
    let told = host.step(|_| ());
    assert!(matches!(&told[..], [Anomaly { over: true, .. }]), "{told:?}");
    // Time that does not pass is no window.
    host.sample.at_ms -= STEP_MS;
    assert_eq!(host.send([FLOOD * 1000, 0]), []);
}

#[test]
fn connections_disks_and_steal_have_thresholds_of_their_own() {
    let mut host = Host::default();
    let mut told = Vec::new();
    for _ in 0..=BEGIN {
        told.extend(host.step(|sample| {
            let tap = sample.connections.entry(tap_name(instance(2))).or_default();
            tap.received += 2 * THRESHOLDS.connections_per_s * STEP_MS / 1000;
            tap.sent += 1;
            *sample.disks.entry(instance(1)).or_default() +=
                2 * THRESHOLDS.disk_bytes_per_s * STEP_MS / 1000;
            let processors = sample.processors.get_or_insert_default();
            processors.total += 400;
            processors.idle += 100;
            processors.steal += 100;
        }));
    }
    let found: Vec<_> =
        told.iter().map(|one| (one.figures.measure, one.tenant, one.figures.rate)).collect();
    assert_eq!(
        found,
        [
            (Measure::ConnectionsReceived, Some(tenant(2)), 2 * THRESHOLDS.connections_per_s),
            (Measure::DiskBytes, Some(tenant(1)), 2 * THRESHOLDS.disk_bytes_per_s),
            (Measure::StealPermille, None, 250),
        ]
    );
    assert_eq!(told[1].subject, instance(1).to_string());
    assert_eq!(told[2].subject, "host");
    assert!(told[2].what.contains("with 750 thousandths"), "{}", told[2].what);
}

#[test]
fn nobody_is_watched_without_thresholds_and_the_strictest_counts_for_the_host() {
    let other = InstanceId::from_uuid(Uuid::from_u128(77));
    let lax = Thresholds { steal_permille: 900, ..THRESHOLDS };
    let watched = Watched::of([(instance(1), tenant(1), THRESHOLDS), (other, tenant(9), lax)]);
    let of = |subject, measure| watched.threshold(&subject, measure);
    assert_eq!(of(Subject::Host, Measure::StealPermille), Some((None, THRESHOLDS.steal_permille)));
    assert_eq!(of(Subject::Disks(instance(2)), Measure::DiskBytes), None);
    assert_eq!(Watched::default().threshold(&Subject::Host, Measure::StealPermille), None);
    let mut host = Host::default();
    host.watch.judge(Sample::default(), &Watched::default());
    for _ in 0..10 {
        host.sample.at_ms += STEP_MS;
        let tap = host.sample.taps.entry(tap_name(instance(1))).or_default();
        tap.packets_sent += FLOOD * 9;
        assert_eq!(host.watch.judge(host.sample.clone(), &Watched::default()), []);
    }
}
