//! The protocol of an emergency cut, checked over every set of faults: is the customer told within
//! five minutes? Faults are coarse and permanent, and come at any moment after the commit; a
//! crashed controller is started again, a lost database is not. The model's times and decisions
//! are the code's own: the ladder, the armed notices, a host's [`WatchRecord::due`], and the 300 s
//! of the rule.
//!
//! What breaks is asserted set by set, so that a change of the protocol that makes another set
//! break, or mends one, fails here first.

use std::collections::BTreeSet;

use stateright::{Checker as _, Model, Property};
use tenure_agent::core::watch::{Moment, WatchRecord};
use tenure_controller::core::{
    notice::{ARMED_MS, next_rung},
    obligation::ObligationId,
    rules::{Period, Rules},
};
use tenure_protocol::{
    id::{CutId, HostId, NoticeId, TenantId},
    ladder::{FALLBACK_AFTER_S, LADDER_S},
    time::Timestamp,
    wire::watch::{Destination, Packet, PacketNotice, Routes, Watch},
};
use uuid::Uuid;

/// How long a crashed controller is away, s.
const RESTART_S: i64 = 30;

/// What may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fault {
    Crash,
    Database,
    Smtp,
    Sms,
    Webhook,
    CutHost,
    WitnessHost,
    Link,
}

use Fault::{Crash, CutHost, Database, Link, Sms, Smtp, Webhook, WitnessHost};

const FAULTS: [Fault; 8] = [Crash, Database, Smtp, Sms, Webhook, CutHost, WitnessHost, Link];
/// Over what the controller sends.
const CHANNELS: [Fault; 3] = [Smtp, Sms, Webhook];
/// Over what hosts do.
const HOST_CHANNELS: [Fault; 2] = [Smtp, Webhook];
/// What breaks the protocol with a witness, each without any fault to spare.
const CORES: [[Fault; 3]; 3] =
    [[Database, Smtp, Webhook], [Smtp, Sms, Webhook], [Database, CutHost, WitnessHost]];

/// What breaks a cut that a person ordered on a host: nobody but that host knows of it at first.
const LOCAL_CORES: [&[Fault]; 4] =
    [&[CutHost], &[Database, Smtp, Webhook], &[Smtp, Webhook, Link], &[Smtp, Sms, Webhook]];

/// How notices are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Design {
    /// Once the host has reported its commit.
    AfterReport,
    /// Armed before the order, and again by the host that is ordered.
    DeadMan,
    /// The same, and by a witness.
    Witness,
    /// A person cuts on the host, which keeps a standing packet: nobody else knows of it before it
    /// reports.
    Local,
}

#[derive(Debug, Clone)]
struct Protocol {
    design: Design,
    may_fail: BTreeSet<Fault>,
    limit_s: i64,
    instants: Vec<i64>,
    packet: Packet,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    now_s: i64,
    failed: BTreeSet<Fault>,
    crashed_at: Option<i64>,
    /// Since when the controller's notices are due, and their next rung.
    due: Option<(i64, i64)>,
    reported: bool,
    told: bool,
    /// The controller knows that the customer is told.
    known: bool,
    /// The last try of each host, after the fall-back.
    tried_s: [Option<i64>; 2],
    disarmed: [bool; 2],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Fail(Fault),
    Report,
    Receipt(usize),
    Pass,
}

const HOSTS: [Fault; 2] = [CutHost, WitnessHost];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1000)
}

fn moment(seconds: i64) -> Moment {
    Moment { boot_id: String::new(), boot_ms: seconds * 1000, real: at(seconds) }
}

impl Protocol {
    fn new(design: Design, may_fail: &[Fault]) -> Self {
        let rules = Rules::shipped().expect("the shipped rules");
        let Period::Seconds(limit) = rules.rule(ObligationId::O12b).period else {
            panic!("O12b is in seconds")
        };
        let limit_s = i64::from(limit);
        let starts = [0, ARMED_MS / 1000, FALLBACK_AFTER_S, RESTART_S];
        let rungs = starts.iter().flat_map(|start| LADDER_S.map(|rung| start + rung));
        let instants: BTreeSet<i64> =
            rungs.chain([limit_s]).filter(|instant| *instant <= limit_s).collect();
        let id = |n| Uuid::from_u128(n);
        let notice = PacketNotice {
            id: NoticeId::from_uuid(id(1)),
            designated: true,
            to: Destination::Mail { address: "duty@data.example".to_owned() },
            subject: String::new(),
            body: String::new(),
            payload: String::new(),
        };
        let packet = Packet {
            cut: CutId::from_uuid(id(2)),
            tenant: TenantId::from_uuid(id(3)),
            host: HostId::from_uuid(id(4)),
            watch: Watch::Ordered,
            fallback_after_ms: FALLBACK_AFTER_S.unsigned_abs() * 1000,
            issued_at: at(0),
            ttl_ms: u64::MAX >> 1,
            routes: Routes::default(),
            notices: vec![notice],
        };
        let may_fail = may_fail.iter().copied().collect();
        Self { design, may_fail, limit_s, instants: instants.into_iter().collect(), packet }
    }

    fn controller_acts(&self, state: &State) -> bool {
        let away = state.crashed_at.is_some_and(|at| state.now_s < at + RESTART_S);
        !away && !state.failed.contains(&Database)
    }

    fn host_keeps(&self, host: usize) -> bool {
        match self.design {
            Design::AfterReport => false,
            Design::DeadMan | Design::Local => host == 0,
            Design::Witness => true,
        }
    }

    /// Whether a host sends now: by the agent's own decision.
    fn host_sends(&self, state: &State, host: usize) -> bool {
        if !self.host_keeps(host) || state.disarmed[host] || state.failed.contains(&HOSTS[host]) {
            return false;
        }
        let now = moment(state.now_s);
        let mut record = WatchRecord::armed(&self.packet, &moment(0));
        record.begin(moment(0));
        if let Some(tried) = state.tried_s[host] {
            record.tried_ms.insert(self.packet.notices[0].id, tried * 1000);
        }
        !record.due(&self.packet, &now).is_empty()
    }

    fn arrives(state: &State, channels: &[Fault]) -> bool {
        channels.iter().any(|channel| !state.failed.contains(channel))
    }

    /// All who are due try over every channel.
    fn attempt(&self, state: &mut State) {
        let armed = matches!(self.design, Design::DeadMan | Design::Witness);
        if armed && state.due.is_none() {
            let release = ARMED_MS / 1000;
            if state.now_s >= release && self.controller_acts(state) {
                state.due = Some((release, release));
            }
        }
        if let Some((since, next)) = state.due
            && next <= state.now_s
            && !state.known
            && self.controller_acts(state)
        {
            let next = next_rung(at(since), at(state.now_s)).expect("a rung");
            state.due = Some((since, next.unix_ms() / 1000));
            state.known = Self::arrives(state, &CHANNELS);
            state.told |= state.known;
        }
        for host in 0..2 {
            if !state.told && self.host_sends(state, host) {
                state.tried_s[host] = Some(state.now_s - FALLBACK_AFTER_S);
                state.told = Self::arrives(state, &HOST_CHANNELS);
            }
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    /// Just after the commit: the packets went before the order.
    fn init_states(&self) -> Vec<State> {
        vec![State {
            now_s: 0,
            failed: BTreeSet::new(),
            crashed_at: None,
            due: None,
            reported: false,
            told: false,
            known: false,
            tried_s: [None; 2],
            disarmed: [false; 2],
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.now_s >= self.limit_s {
            return;
        }
        // What fails once the customer is told makes nobody untold.
        let open =
            self.may_fail.iter().filter(|fault| !state.told && !state.failed.contains(fault));
        steps.extend(open.map(|fault| Step::Fail(*fault)));
        let linked = self.controller_acts(state) && !state.failed.contains(&Link);
        let before = steps.len();
        if linked && !state.reported && !state.failed.contains(&CutHost) {
            steps.push(Step::Report);
        }
        for (host, fault) in HOSTS.iter().enumerate() {
            let waits = self.host_keeps(host) && !state.disarmed[host];
            if linked && state.known && waits && !state.failed.contains(fault) {
                steps.push(Step::Receipt(host));
            }
        }
        // What can arrive does before time passes.
        if steps.len() == before && !state.told {
            steps.push(Step::Pass);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Fail(fault) => {
                state.failed.insert(fault);
                if fault == Crash {
                    state.crashed_at = Some(state.now_s);
                }
            }
            Step::Report => {
                state.reported = true;
                if state.due.is_none() {
                    state.due = Some((state.now_s, state.now_s));
                    self.attempt(&mut state);
                }
            }
            Step::Receipt(host) => state.disarmed[host] = true,
            Step::Pass => {
                state.now_s = *self.instants.iter().find(|instant| **instant > last.now_s)?;
                if state.now_s < self.limit_s {
                    self.attempt(&mut state);
                }
                // Whether it ever crashed matters no more once it is back.
                state.crashed_at = state.crashed_at.filter(|at| state.now_s < at + RESTART_S);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(TOLD, |model: &Self, state: &State| {
                state.told || state.now_s < model.limit_s
            }),
            Property::always(JUST, |_: &Self, state: &State| {
                state.told || state.disarmed == [false; 2]
            }),
        ]
    }
}

const TOLD: &str = "the customer is told within the limit";
const JUST: &str = "no host is disarmed before the customer is told";

/// Whether some order of these faults, at some moments, leaves the customer untold.
fn breaks(design: Design, faults: &[Fault]) -> bool {
    let checker = Protocol::new(design, faults).checker().spawn_dfs().join();
    assert!(checker.discovery(JUST).is_none(), "{design:?} {faults:?}: disarmed, and not told");
    checker.discovery(TOLD).is_some()
}

/// The sets of so many faults, and those of them that break.
fn broken(design: Design, faults: &[Fault], size: u32) -> (usize, Vec<Vec<Fault>>) {
    let sets: Vec<Vec<Fault>> = subsets(faults).filter(|set| set.len() == size as usize).collect();
    let all = sets.len();
    (all, sets.into_iter().filter(|set| breaks(design, set)).collect())
}

fn subsets(faults: &[Fault]) -> impl Iterator<Item = Vec<Fault>> {
    (0..1_usize << faults.len()).map(|bits| {
        let chosen = faults.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        chosen.map(|(_, fault)| *fault).collect()
    })
}

#[test]
fn with_a_witness_no_two_faults_keep_the_customer_from_being_told_and_three_sets_of_three_do() {
    let of = |size| broken(Design::Witness, &FAULTS, size);
    assert_eq!(of(0), (1, vec![]));
    assert_eq!(of(1), (8, vec![]));
    assert_eq!(of(2), (28, vec![]));
    assert_eq!(of(3), (56, CORES.map(Vec::from).to_vec()));
}

#[test]
fn whatever_more_fails_it_breaks_by_one_of_these_sets_alone() {
    for faults in subsets(&FAULTS).filter(|set| set.len() > 3) {
        let expected = CORES.iter().any(|core| core.iter().all(|one| faults.contains(one)));
        assert_eq!(breaks(Design::Witness, &faults), expected, "{faults:?}");
    }
}

#[test]
fn without_a_witness_the_loss_of_database_and_cut_host_breaks_it() {
    let faults: Vec<Fault> = FAULTS.into_iter().filter(|fault| *fault != WitnessHost).collect();
    let of = |size| broken(Design::DeadMan, &faults, size);
    assert_eq!(of(1), (7, vec![]));
    assert_eq!(of(2), (21, vec![vec![Database, CutHost]]));
    let (all, sets) = of(3);
    let expected = |set: &&Vec<Fault>| {
        let alone = CORES[..2].iter().any(|core| set.as_slice() == core);
        alone || (set.contains(&Database) && set.contains(&CutHost))
    };
    assert_eq!((all, sets.len(), sets.iter().filter(expected).count()), (35, 7, 7), "{sets:?}");
}

#[test]
fn a_notice_that_waits_for_the_report_breaks_with_one_fault() {
    let faults: Vec<Fault> = FAULTS.into_iter().filter(|fault| *fault != WitnessHost).collect();
    let (all, sets) = broken(Design::AfterReport, &faults, 1);
    assert_eq!((all, sets), (7, vec![vec![Database], vec![CutHost], vec![Link]]));
}

#[test]
fn a_cut_on_a_host_is_told_unless_that_host_fails_or_neither_it_nor_the_controller_gets_through() {
    for faults in subsets(&FAULTS) {
        let expected = LOCAL_CORES.iter().any(|core| core.iter().all(|one| faults.contains(one)));
        assert_eq!(breaks(Design::Local, &faults), expected, "{faults:?}");
    }
}
