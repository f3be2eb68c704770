//! The report of a drill: how long each step took, by what limit, and which channels stayed silent.
//!
//! ```text
//!   received ─1 s─▶ durable ─5 s─▶ t0 ─10 s─▶ proven (every host's signed statement)
//!                                   └─ O12b ─▶ told, over each designated channel (E2)
//!   restore ordered ─10 s─▶ restored
//! ```
//! A step that is not known has not passed. The verdict stands once the tenant is connected again,
//! and each channel has taken its notice or had its time.

use tenure_protocol::time::Timestamp;

use super::{
    calendar::{legal_day, plus_days, start_of_day},
    obligation::ObligationId,
    rules::{Period, Rules},
    tenant::{Cut, CutEnd, Drill, Tenant},
};

/// A drill ends by itself after this, ms, whatever has come of it.
pub const LONGEST_MS: i64 = 300_000;
/// A canary is drilled again within so many days.
const EVERY_DAYS: i32 = 31;
/// From the API to what is durable, ms.
const DURABLE_MS: i64 = 1_000;
/// From there to the first kernel's commit, ms.
const COMMIT_MS: i64 = 5_000;
/// From the commit to the last host's signed statement, ms.
const PROOF_MS: i64 = 10_000;
/// From the order of the restore to the last host's commit, ms.
const RESTORE_MS: i64 = 10_000;

/// What a drill, or a step of it, has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is not over.
    UnderWay,
    /// Within its limit.
    Passed,
    /// Not within its limit, or not known.
    Failed,
}

impl Verdict {
    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnderWay => "under-way",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

/// One step of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillStep {
    /// `durable`, `t0`, `proven`, `told` or `restored`.
    pub step: &'static str,
    /// Over which channel to whom, of `told`.
    pub channel: Option<String>,
    /// When it was done; real clock.
    pub at: Option<Timestamp>,
    /// After what it counts from, ms; clocks of two machines may make it negative.
    pub after_ms: Option<i64>,
    /// How long it may take, ms.
    pub limit_ms: i64,
    /// What it has come to.
    pub verdict: Verdict,
}

/// What has come of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillReport {
    /// All of it together.
    pub verdict: Verdict,
    /// Each step, in the order of the way.
    pub steps: Vec<DrillStep>,
    /// The channels that took nothing in their time.
    pub silent: Vec<String>,
}

/// The report as far as it is known at `now`, real clock.
#[must_use]
pub fn report(cut: &Cut, drill: &Drill, rules: &Rules, now: Timestamp) -> DrillReport {
    let t0 = cut.t0.map(|t0| t0.latest);
    let is_void = matches!(cut.end, CutEnd::Void { .. });
    let since = cut.t0.map(|t0| t0.earliest);
    let tell_ms = told_ms(rules);
    let tell_until = cut.counts_from().plus_ms(tell_ms);
    let step = |step, [from, at]: [Option<Timestamp>; 2], limit_ms, over: bool| {
        let after_ms = from.zip(at).map(|(from, at)| at.ms_since(from));
        let verdict = match after_ms {
            Some(after) if after < limit_ms => Verdict::Passed,
            Some(_) => Verdict::Failed,
            None if over || is_void => Verdict::Failed,
            None => Verdict::UnderWay,
        };
        DrillStep { step, channel: None, at, after_ms, limit_ms, verdict }
    };
    let ended = drill.restored_at.is_some();
    let mut steps = vec![
        step("durable", [drill.received_at, drill.durable_at], DURABLE_MS, ended),
        step("t0", [drill.durable_at, t0], COMMIT_MS, ended),
        step("proven", [t0, drill.proven_at], PROOF_MS, ended),
    ];
    let told = drill.channels.iter().map(|channel| DrillStep {
        channel: Some(format!("{} ({})", channel.contact, channel.channel)),
        ..step("told", [since, channel.told_at], tell_ms, now >= tell_until)
    });
    steps.extend(told);
    if drill.channels.is_empty() {
        // Nobody designated a system: nothing can prove that the customer is told.
        steps.push(step("told", [t0, None], tell_ms, true));
    }
    steps.push(step("restored", [drill.restore_ordered_at, drill.restored_at], RESTORE_MS, false));
    let is = |wanted| move |step: &&DrillStep| step.verdict == wanted;
    let verdict = if steps.iter().any(|step| is(Verdict::UnderWay)(&step)) {
        Verdict::UnderWay
    } else if steps.iter().any(|step| is(Verdict::Failed)(&step)) {
        Verdict::Failed
    } else {
        Verdict::Passed
    };
    let silent = steps.iter().filter(|step| step.at.is_none()).filter(is(Verdict::Failed));
    let silent = silent.filter_map(|step| step.channel.clone()).collect();
    DrillReport { verdict, steps, silent }
}

/// Until when a canary has to be drilled (again); legal time. Nothing of a tenant that is none.
#[must_use]
pub fn due_at(tenant: &Tenant) -> Option<Timestamp> {
    let canary = tenant.canary.in_force.as_ref()?;
    let last = tenant.last_drill().map(|(cut, _)| cut.ordered_at);
    let since = last.map_or(canary.confirmed_at, |last| last.max(canary.confirmed_at));
    Some(start_of_day(plus_days(legal_day(since), EVERY_DAYS)))
}

/// How long the customer may be untold, ms: what O12b would count.
fn told_ms(rules: &Rules) -> i64 {
    if let Period::Seconds(seconds) = rules.rule(ObligationId::O12b).period {
        return i64::from(seconds) * 1000;
    }
    LONGEST_MS
}
