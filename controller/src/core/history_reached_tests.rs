//! What the random histories came to, and that it was enough.

use super::{told::History, *};

/// What the histories came to: events that were accepted and refused, in which phase, of which
/// kind, and why.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) phases: BTreeMap<Phase, [usize; 2]>,
    pub(super) kinds: BTreeMap<&'static str, [usize; 2]>,
    pub(super) tried: BTreeSet<(Phase, &'static str)>,
    pub(super) refusals: BTreeMap<String, usize>,
    pub(super) holds: BTreeMap<&'static str, usize>,
    pub(super) missed: usize,
    pub(super) homes: usize,
    pub(super) replays: usize,
}

impl Reached {
    pub(super) fn events(&self) -> usize {
        self.kinds.values().flatten().sum()
    }

    pub(super) fn add(&mut self, history: &History) {
        for entry in &history.log {
            let name = entry.event().name();
            let refused = usize::from(entry.outcome().is_err());
            self.kinds.entry(name).or_default()[refused] += 1;
            self.phases.entry(entry.phase()).or_default()[refused] += 1;
            self.tried.insert((entry.phase(), name));
            if let Err(code) = entry.outcome() {
                *self.refusals.entry(format!("{code:?}")).or_default() += 1;
            }
        }
        let region = match history.tenant.hold_region() {
            HoldRegion::None => "none",
            HoldRegion::Dispute => "dispute",
            HoldRegion::LegalHold => "legal-hold",
        };
        *self.holds.entry(region).or_default() += 1;
        let owed = history.tenant.obligations.iter();
        self.missed +=
            owed.filter(|owed| matches!(owed.state, ObligationState::Breached { .. })).count();
    }

    pub(super) fn join(&mut self, other: Self) {
        let add = |sum: &mut [usize; 2], more: [usize; 2]| {
            *sum = [sum[0] + more[0], sum[1] + more[1]];
        };
        other.phases.into_iter().for_each(|(key, more)| {
            add(self.phases.entry(key).or_default(), more);
        });
        other.kinds.into_iter().for_each(|(key, more)| {
            add(self.kinds.entry(key).or_default(), more);
        });
        for (key, more) in other.refusals {
            *self.refusals.entry(key).or_default() += more;
        }
        for (key, more) in other.holds {
            *self.holds.entry(key).or_default() += more;
        }
        self.tried.extend(other.tried);
        self.missed += other.missed;
        self.homes += other.homes;
        self.replays += other.replays;
    }
}

/// The histories mean something: they came everywhere, and were admitted and turned away there.
pub(super) fn everything_was_reached(reached: &Reached) {
    let missing = |counts: Option<&[usize; 2]>| counts.is_none_or(|counts| counts.contains(&0));
    let phases: Vec<_> =
        Phase::ALL.into_iter().filter(|phase| missing(reached.phases.get(phase))).collect();
    assert_eq!(phases, [], "phases in which nothing was accepted, or nothing refused");
    let kinds: BTreeSet<&str> = events(Timestamp::default()).iter().map(Event::name).collect();
    let lacking: Vec<_> = kinds.iter().filter(|kind| missing(reached.kinds.get(**kind))).collect();
    assert!(lacking.is_empty(), "never accepted, or never refused: {lacking:?}");
    let (tried, pairs) = (reached.tried.len(), Phase::ALL.len() * kinds.len());
    assert!(tried * 10 >= pairs * 9, "{tried} of {pairs} kinds of events in phases were tried");
    assert_eq!(reached.holds.len(), 3, "{:?}", reached.holds);
    let [missed, homes, replays] = [reached.missed, reached.homes, reached.replays];
    assert!(missed > 1_000 && homes > 100 && replays > 100, "{missed} {homes} {replays}");
}
