//! A flood is found at the tap that sends it and at no other, what is counted is no drift, and
//! counting a thousand taps costs next to nothing.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::time::{ClockId, clock_gettime};
use tenure_agent::{
    clock,
    core::{
        anomaly::{Anomaly, BEGIN, END, Sample, Watch, Watched},
        ruleset::{self, ListKey, PolicyTap, TapName, tap_name},
        step::{Host as _, Performed, Step},
    },
    file,
    host::tap as device,
};
use tenure_protocol::{
    id::{InstanceId, TenantId},
    wire::v1::{Egress, Mark, Measure, PacketRule, Thresholds, Transport},
};
use tenure_tests::lab::{
    daemon::{run, wait_for},
    frames::{self, Station, Wire, station},
};

use super::{A, A1, A2, B, B1, BRIDGE, Tested, on_a_host, sealing::Site};

const LIMIT: Duration = Duration::from_secs(10);
/// How long each sample of these tests takes, at least.
const WINDOW: Duration = Duration::from_millis(300);
/// Far below what a guest can send, even on a busy machine, and far beyond what is normal.
const THRESHOLDS: Thresholds = Thresholds {
    packets_per_s: 500,
    connections_per_s: 100,
    disk_bytes_per_s: 1 << 40,
    steal_permille: 1_000,
};
/// Taps of the last test.
const MANY: u16 = 1_000;
/// Most of a processor that one sample of them may take.
const SAMPLE_LIMIT: Duration = Duration::from_millis(200);

fn id(number: u128) -> InstanceId {
    InstanceId::from_uuid(uuid::Uuid::from_u128(number))
}

fn tenant(mark: Mark) -> TenantId {
    TenantId::from_uuid(uuid::Uuid::from_u128(u128::from(mark.0)))
}

/// Two guests of one tenant and one of another, with the watch over them.
struct Guests {
    site: Site,
    wires: [Wire; 3],
    watched: Watched,
    watch: Watch,
    policy: String,
    /// Whether the second guest answers each frame that it is given.
    answers: bool,
    /// What the second guest sends as fast as it can.
    floods: Option<Vec<u8>>,
    _dir: tempfile::TempDir,
}

impl Guests {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        file::directory(&dir.path().join("instances"), 0o700, None)?;
        let site = Site::open(dir.path())?;
        let guests = [(1, A, A1), (2, A, A2), (3, B, B1)];
        let taps = guests.map(|(number, mark, at)| policy_tap(tap_name(id(number)), mark, at));
        let policy = ruleset::policy(&taps, &ListKey::default());
        site.perform(&Step::ApplyPolicy { text: policy.clone() })?;
        site.perform(&Step::EnsureBridge { bridge: BRIDGE.to_owned() })?;
        for tap in &taps {
            site.plug(&tap.tap, tap.mark)?;
        }
        let wire = |at: usize| {
            let open = || Ok(device::ensure_tap(&taps[at].tap, BRIDGE, || ()).ok());
            Wire::tap(wait_for("the tap to be free", LIMIT, open)?)
        };
        let wires = [wire(0)?, wire(1)?, wire(2)?];
        let watched =
            Watched::of(guests.map(|(number, mark, _)| (id(number), tenant(mark), THRESHOLDS)));
        let (watch, answers, floods) = (Watch::default(), false, None);
        Ok(Self { site, wires, watched, watch, policy, answers, floods, _dir: dir })
    }

    fn sample(&self) -> anyhow::Result<Sample> {
        self.site.host.sample().context("a sample")
    }

    /// One more sample, before which the first guest sends this as fast as it can, if at all, and
    /// the neighbour one frame.
    fn step(&mut self, flood: Option<&[u8]>) -> anyhow::Result<Vec<Anomaly>> {
        let began = clock::monotonic();
        self.wires[2].send(&frames::udp(B1, station(2, 1), (9, 5000), 1))?;
        while clock::monotonic().saturating_sub(began) < WINDOW {
            match (flood, &self.floods) {
                (Some(frame), _) => self.wires[0].send(frame)?,
                (None, Some(frame)) => self.wires[1].send(frame)?,
                (None, None) => {
                    self.wires[0].wait(WINDOW / 10)?;
                }
            }
            // What a guest does not read fills its tap.
            for (place, wire) in self.wires.iter().enumerate() {
                while wire.next()?.is_some() {
                    if self.answers && place == 1 {
                        wire.send(&frames::tcp(A2, A1, (80, 9), 0x12))?;
                    }
                }
            }
        }
        let sample = self.sample()?;
        Ok(self.watch.judge(sample, &self.watched))
    }

    /// What is told in so many samples: tap, measure, whether it is over.
    fn told(
        &mut self,
        samples: u32,
        flood: Option<&[u8]>,
    ) -> anyhow::Result<Vec<(String, Measure, bool)>> {
        let mut told = Vec::new();
        for _ in 0..samples {
            told.extend(self.step(flood)?);
        }
        for one in &told {
            println!("{}: {}", one.subject, one.what);
            let whose = if one.subject == tap_name(id(3)).as_str() { B } else { A };
            ensure!(one.tenant == Some(tenant(whose)), "{one:?}");
        }
        told.sort_by(|one, other| one.subject.cmp(&other.subject));
        let told = told.into_iter();
        Ok(told.map(|one| (one.subject, one.figures.measure, one.over)).collect())
    }

    /// What others changed, with the table listed anew.
    fn drift(&self) -> Tested {
        run(&["nft", "add table inet others; delete table inet others"])?;
        match self.site.perform(&Step::Patrol)? {
            Performed::Found(drifts) if drifts.is_empty() => Ok(()),
            other => anyhow::bail!("{other:?}"),
        }
    }
}

fn policy_tap(tap: TapName, mark: Mark, at: Station) -> PolicyTap {
    let ingress = vec![PacketRule::open(Transport::Tcp, 80)];
    let egress = Egress::Everything;
    PolicyTap { tap, mark, mac: at.mac, ip4: at.ip4.octets(), ingress, egress }
}

#[test]
fn a_flood_is_found_at_its_tap_alone_once_and_so_is_its_end() -> Tested {
    on_a_host("flood", |_| {
        let mut guests = Guests::new()?;
        let first = tap_name(id(1)).as_str().to_owned();
        assert_eq!(guests.told(BEGIN + 3, None)?, [], "nothing but what is normal");
        let flood = frames::udp(A1, station(1, 1), (9, 5000), 7);
        let both = [Measure::PacketsSent, Measure::PacketsUnasked];
        let begun = both.map(|measure| (first.clone(), measure, false));
        assert_eq!(guests.told(BEGIN + 3, Some(&flood))?, begun, "once");
        let over = both.map(|measure| (first.clone(), measure, true));
        assert_eq!(guests.told(END + 3, None)?, over, "once");
        let sample = guests.sample()?;
        let neighbour = sample.taps[&tap_name(id(3))];
        ensure!(neighbour.packets_sent > 10 && neighbour.bytes_sent > 600, "{neighbour:?}");
        assert_eq!(sample.connections[&tap_name(id(1))], Default::default(), "UDP has none");
        guests.drift()
    })
}

#[test]
fn a_guest_that_answers_a_flood_is_told_of_and_what_it_does_cuts_nobody() -> Tested {
    on_a_host("answers", |_| {
        let mut guests = Guests::new()?;
        let [first, second] = [1, 2].map(|number| tap_name(id(number)).as_str().to_owned());
        guests.told(2, None)?;
        guests.answers = true;
        // SYN after SYN, each of which the second guest answers with SYN and ACK.
        let syn = frames::tcp(A1, A2, (9, 80), 0x02);
        let told = guests.told(BEGIN + 3, Some(&syn))?;
        let of = |subject: &String| {
            let found = told.iter().filter(|(tap, ..)| tap == subject);
            found.map(|(_, measure, _)| *measure).collect::<Vec<_>>()
        };
        let (begun, asked) = (Measure::ConnectionsSent, Measure::ConnectionsReceived);
        let answered = [Measure::PacketsSent, Measure::PacketsReceived, asked];
        assert_eq!(of(&second), answered, "{told:?}");
        ensure!(of(&first).contains(&begun), "who floods does so by itself: {told:?}");
        guests.answers = false;
        let flood = frames::udp(A2, A1, (9, 5000), 7);
        guests.floods = Some(flood);
        let told = guests.told(BEGIN + 3, None)?;
        let unasked = (second, Measure::PacketsUnasked, false);
        ensure!(told.contains(&unasked), "by itself it does: {told:?}");
        Ok(())
    })
}

#[test]
fn new_connections_are_counted_at_both_ends_and_what_is_counted_is_no_drift() -> Tested {
    on_a_host("connections", |_| {
        let mut guests = Guests::new()?;
        let [first, second] = [1, 2].map(|number| tap_name(id(number)));
        // Into a port that is closed; and what goes on in a connection is no new one.
        let (syn, ack) = (frames::tcp(A1, A2, (9, 81), 0x02), frames::tcp(A1, A2, (9, 81), 0x10));
        let reply = frames::tcp(A1, A2, (9, 81), 0x12);
        for frame in [&syn, &syn, &ack, &reply] {
            guests.wires[0].send(frame)?;
        }
        // As somebody else it is no connection of this tap, nor of anybody.
        guests.wires[0].send(&frames::tcp(A2, A1, (9, 80), 0x02))?;
        let sample = guests.sample()?;
        let counted = |tap: &TapName| {
            sample.connections.get(tap).map(|counted| (counted.sent, counted.received))
        };
        assert_eq!(counted(&first), Some((2, 0)));
        assert_eq!(counted(&second), Some((0, 2)));
        guests.drift()?;

        guests.told(2, None)?;
        let floods = |told: Vec<(String, Measure, bool)>| {
            let of = |measure| {
                matches!(measure, Measure::ConnectionsSent | Measure::ConnectionsReceived)
            };
            told.into_iter().filter(|(_, measure, _)| of(*measure)).collect::<Vec<_>>()
        };
        let told = floods(guests.told(BEGIN + 2, Some(&syn))?);
        let at = |tap: &TapName, measure| (tap.as_str().to_owned(), measure, false);
        let wanted =
            [at(&first, Measure::ConnectionsSent), at(&second, Measure::ConnectionsReceived)];
        assert_eq!(told, wanted);
        guests.drift()?;
        // A change of the policy counts on; one that is made anew counts anew, and nothing is made
        // of that.
        let apply = Step::ApplyPolicy { text: guests.policy.clone() };
        let before = guests.sample()?.connections[&first];
        guests.site.perform(&apply)?;
        assert_eq!(guests.sample()?.connections[&first], before);
        guests.drift()?;
        run(&["nft", "delete table bridge tenure"])?;
        guests.site.perform(&apply)?;
        assert_eq!(guests.sample()?.connections[&first], Default::default());
        assert_eq!(floods(guests.told(1, None)?), []);
        Ok(())
    })
}

/// What this thread has had of the processors: others' work on the machine is not in it.
fn used() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

#[test]
fn a_sample_of_a_thousand_taps_takes_a_moment() -> Tested {
    on_a_host("a thousand taps", |_| {
        let dir = tempfile::tempdir()?;
        file::directory(&dir.path().join("instances"), 0o700, None)?;
        let site = Site::open(dir.path())?;
        device::ensure_bridge(BRIDGE)?;
        let mut taps = Vec::new();
        for number in 0..MANY {
            let [high, low] = number.to_be_bytes();
            let tap = TapName::parse(&format!("tap-{number}"))?;
            device::ensure_tap(&tap, BRIDGE, || ())?;
            taps.push(policy_tap(tap, Mark(0x100 + u32::from(number)), station(high, low)));
        }
        site.perform(&Step::ApplyPolicy { text: ruleset::policy(&taps, &ListKey::default()) })?;
        let (mut took, rounds) = (Vec::new(), 20);
        for _ in 0..rounds {
            let began = used()?;
            let sample = site.host.sample().context("a sample")?;
            took.push(used()?.saturating_sub(began));
            let counted = (sample.taps.len(), sample.connections.len());
            ensure!(counted == (usize::from(MANY), usize::from(MANY)), "{counted:?}");
            ensure!(sample.processors.is_some());
        }
        took.sort_unstable();
        let median = took[rounds / 2];
        println!(
            "a sample of {MANY} taps takes {} us of a processor in this build",
            median.as_micros()
        );
        ensure!(median < SAMPLE_LIMIT, "{took:?}");
        Ok(())
    })
}
