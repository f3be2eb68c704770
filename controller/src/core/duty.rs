//! The duty desk: what needs a person of the provider now, most urgent first: by the state of each
//! tenant, by what hosts could not keep ([`lost`], [`without_standing`]), and by their alarms that
//! stand ([`alarm`]).
//!
//! [`since`] says from when on a tenant has something for the desk: it is stored beside the tenant,
//! so that nobody looks for those few among all. [`needs`] says what that is.

use std::collections::BTreeMap;

use serde::Serialize;
use tenure_protocol::{
    id::{HostId, TenantId},
    time::Timestamp,
    wire::v1::Alarm,
};

use super::{
    drill::{self, DrillReport, Verdict},
    lifecycle::CutKind,
    obligation::{Obligation, ObligationId, Party},
    rules::{OnBreach, Period, Rules},
    tenant::{Contact, Cut, Isolation, OrderFate, OrderKind, Phase, Probe, Rung, Tenant},
};

/// A deadline of the provider's is on the desk for this long before it ends, ms: a day.
const AHEAD_MS: i64 = 86_400_000;
/// A host that has not answered a standing packet for this long is on the desk, ms: 10 minutes.
pub const STANDING_ANSWER_MS: i64 = 600_000;
/// Before everything else: a customer does not know that it was cut.
const FIRST: Timestamp = Timestamp::from_unix_ms(0);
/// There at any time, before what a deadline brings.
const ALWAYS: Timestamp = Timestamp::from_unix_ms(1);

/// What has to be done. The order is that of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// An emergency cut of which the customer does not know yet.
    CutUntold,
    /// A host cannot keep the notices of such a cut: it will not speak for the controller.
    WatchLost,
    /// A host has not carried out a cut or restore: it failed, or cannot be reached.
    CutPending,
    /// A host found something that is not as it should be, and it is not repaired.
    HostAlarm,
    /// A wipe has failed.
    WipeFailed,
    /// A planned cut is announced.
    PlannedCut,
    /// A cut is open: it is temporary (O12c).
    CutOpen,
    /// A drill is under way, has failed, or is due on a canary.
    Drill,
    /// A wipe waits for approvals.
    WipeApproval,
    /// A probe of the customer's contacts was not taken everywhere, or not acknowledged.
    Contacts,
    /// The provider owes something within a day, or is late.
    Deadline,
    /// A host keeps no standing packets: it will tell nobody of a cut that a person orders there.
    StandingLost,
}

impl Need {
    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CutUntold => "cut-untold",
            Self::WatchLost => "watch-lost",
            Self::CutPending => "cut-pending",
            Self::HostAlarm => "host-alarm",
            Self::WipeFailed => "wipe-failed",
            Self::PlannedCut => "planned-cut",
            Self::CutOpen => "cut-open",
            Self::Drill => "drill",
            Self::WipeApproval => "wipe-approval",
            Self::Contacts => "contacts",
            Self::Deadline => "deadline",
            Self::StandingLost => "standing-lost",
        }
    }
}

/// One thing on the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDesk {
    /// What has to be done.
    pub need: Need,
    /// For which tenant, if it is for one.
    pub whose: Option<Whose>,
    /// How it stands, in a stable kebab-case word.
    pub standing: &'static str,
    /// Its number or name: of the cut, the obligation, the host.
    pub about: String,
    /// What somebody has said about it: the reason of a cut, the words of a host.
    pub words: Option<String>,
    /// Until when.
    pub due: Option<Until>,
    /// Whom to phone about it.
    pub phones: Vec<Phone>,
}

/// The tenant that something on the desk is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// Which.
    pub tenant: TenantId,
    /// Its customer; nothing if no more than its id is known.
    pub customer: Option<String>,
    /// The name of its system; likewise.
    pub system: Option<String>,
}

/// A person of the customer who can be phoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// Who.
    pub name: String,
    /// The number.
    pub number: String,
    /// When that can be reached, in the customer's words.
    pub available: Option<String>,
}

/// Until when something has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until {
    /// The instant, on the clock that counts for it.
    pub at: Timestamp,
    /// What is left, ms; negative if it has passed.
    pub left_ms: i64,
}

/// Both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Legal time.
    pub legal: Timestamp,
    /// Real time.
    pub real: Timestamp,
}

/// How a host stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStanding {
    /// Its name.
    pub name: String,
    /// Whether it is there and believed.
    pub up: bool,
}

/// The legal instant from which a tenant has something for the desk; nothing if that needs an
/// event first. It orders tenants by urgency: the untold first.
#[must_use]
pub fn since(tenant: &Tenant, rules: &Rules) -> Option<Timestamp> {
    if untold(tenant).any(|cut| cut.kind != CutKind::Drill) {
        return Some(FIRST);
    }
    let standing = open_cut(tenant).is_some()
        || planned_cut(tenant).is_some()
        || pending(tenant).next().is_some()
        || rotten_contacts(tenant).is_some()
        || wipe_waits(tenant)
        || drill_stands(tenant, rules);
    if standing {
        return Some(ALWAYS);
    }
    let deadlines = owed(tenant, rules).filter_map(|owed| owed.due.due_at());
    let deadlines = deadlines.map(|at| at.plus_ms(-AHEAD_MS));
    deadlines.chain(drill::due_at(tenant).filter(|_| tenant.phase.has_traffic())).min()
}

/// What a tenant has for the desk now, most urgent first.
#[must_use]
pub fn needs(
    tenant: &Tenant,
    hosts: &BTreeMap<HostId, HostStanding>,
    rules: &Rules,
    now: Now,
) -> Vec<OnDesk> {
    let in_earnest = |cut: &&Cut| cut.kind != CutKind::Drill;
    let untold = untold(tenant).filter(in_earnest).map(|cut| untold_cut(tenant, cut, rules, now));
    let deadlines = owed(tenant, rules).filter_map(|owed| deadline(tenant, owed, now));
    let mut needs: Vec<OnDesk> = untold
        .chain(pending_hosts(tenant, hosts))
        .chain(failed_wipe(tenant))
        .chain(planned_cut(tenant))
        .chain(open_cut(tenant))
        .chain(drilled(tenant, rules, now))
        .chain(waiting_wipe(tenant))
        .chain(rotten_contacts(tenant))
        .chain(deadlines)
        .collect();
    needs.sort_by_key(OnDesk::urgency);
    needs
}

impl OnDesk {
    fn new(tenant: &Tenant, need: Need, standing: &'static str, about: String) -> Self {
        let application = &tenant.application;
        Self {
            need,
            whose: Some(Whose {
                tenant: tenant.id,
                customer: Some(application.customer.clone()),
                system: Some(application.system.name.clone()),
            }),
            standing,
            about,
            words: None,
            due: None,
            phones: Vec::new(),
        }
    }

    /// What it is sorted by: the kind of need, then what is left of the time.
    #[must_use]
    pub fn urgency(&self) -> (Need, i64) {
        (self.need, self.due.map_or(i64::MAX, |due| due.left_ms))
    }
}

/// A host that cannot keep the notices of an emergency cut: while the customer does not know of it,
/// one voice less is left if the controller falls silent.
#[must_use]
pub fn lost(tenant: &Tenant, host: &str, words: Option<String>) -> Option<OnDesk> {
    untold(tenant).next()?;
    Some(OnDesk { words, ..OnDesk::new(tenant, Need::WatchLost, "not-kept", host.to_owned()) })
}

/// A host that keeps no standing packet for so many of its tenants: if a person cuts one of them
/// there while the controller is gone, nobody tells its customer but that person.
#[must_use]
pub fn without_standing(host: &str, tenants: u64) -> OnDesk {
    let of = if tenants == 1 { "tenant" } else { "tenants" };
    OnDesk {
        need: Need::StandingLost,
        whose: None,
        standing: "not-kept",
        about: host.to_owned(),
        words: Some(format!("keeps no standing packet for {tenants} {of}")),
        due: None,
        phones: Vec::new(),
    }
}

/// An alarm of a host that stands. It leaves the desk when the host says that it is repaired, or a
/// person ends it.
#[must_use]
pub fn alarm(host: &str, alarm: &Alarm) -> OnDesk {
    let of = |tenant| Whose { tenant, customer: None, system: None };
    OnDesk {
        need: Need::HostAlarm,
        whose: alarm.tenant.map(of),
        standing: alarm.kind.as_str(),
        about: format!("{host} #{}", alarm.sequence),
        words: Some(format!("{}: {}", alarm.subject, alarm.what)),
        due: None,
        phones: Vec::new(),
    }
}

fn untold(tenant: &Tenant) -> impl Iterator<Item = &Cut> {
    let there = tenant.phase.holds_resources();
    tenant.cuts.iter().filter(move |cut| there && cut.is_untold())
}

/// Cuts and restores that some host has not carried out.
fn pending(tenant: &Tenant) -> impl Iterator<Item = (HostId, &OrderFate)> {
    let there = tenant.phase.holds_resources();
    let wanted = move |kind| match (kind, tenant.isolation) {
        (OrderKind::Cut, Isolation::Cutting { .. }) => there,
        // Connected: after a void cut each host is told to restore, lest it cut later.
        (OrderKind::Restore, Isolation::Restoring { .. } | Isolation::Connected) => there,
        (
            OrderKind::Cut
            | OrderKind::Restore
            | OrderKind::Configure
            | OrderKind::Stop
            | OrderKind::Wipe,
            _,
        ) => false,
    };
    let open = tenant.orders.iter().filter(move |order| wanted(order.kind));
    open.filter(|order| order.state != OrderFate::Done).map(|order| (order.host, &order.state))
}

/// What the provider owes by a deadline that is on the desk; what has a need of its own is not.
fn owed<'a>(tenant: &'a Tenant, rules: &'a Rules) -> impl Iterator<Item = &'a Obligation> {
    let ended =
        matches!(tenant.phase, Phase::Closed | Phase::Rejected | Phase::Withdrawn | Phase::Draft);
    let own = |id| matches!(id, ObligationId::O12a | ObligationId::O12b | ObligationId::O12c);
    tenant.obligations.iter().filter(move |owed| {
        let rule = rules.rule(owed.id);
        // The days of a trial are paid by their passing.
        let work = rule.party == Party::Provider && rule.on_breach != OnBreach::Elapse;
        work && !ended && owed.is_owed() && !owed.is_suspended() && !own(owed.id)
    })
}

fn wipe_waits(tenant: &Tenant) -> bool {
    let stopped = tenant.phase == Phase::Stopped;
    tenant.phase == Phase::WipeFailed || (stopped && !tenant.is_held())
}

/// The seconds run down to the breach; while no t0 is known, to what would be one if the order had
/// cut at once.
fn untold_cut(tenant: &Tenant, cut: &Cut, rules: &Rules, now: Now) -> OnDesk {
    let would_be = || cut.counts_from().plus_ms(notify_ms(rules));
    let due = tenant.notify_by(cut).unwrap_or_else(would_be);
    let left_ms = due.ms_since(now.real);
    let standing = if left_ms <= 0 && cut.t0.is_some() {
        "breached"
    } else {
        cut.alarm_at(now.real).map_or("trying", Rung::as_str)
    };
    OnDesk {
        words: Some(cut.reason.clone()),
        due: Some(Until { at: due, left_ms }),
        phones: phones(tenant),
        ..OnDesk::new(tenant, Need::CutUntold, standing, format!("#{}", cut.number))
    }
}

fn phones(tenant: &Tenant) -> Vec<Phone> {
    let contacts = tenant.application.contacts.iter();
    let phone = |contact: &Contact| {
        let (name, available) = (contact.name.clone(), contact.available.clone());
        contact.mobile.clone().map(|number| Phone { name, number, available })
    };
    contacts.filter_map(phone).collect()
}

/// What O12b counts, ms.
fn notify_ms(rules: &Rules) -> i64 {
    if let Period::Seconds(seconds) = rules.rule(ObligationId::O12b).period {
        return i64::from(seconds) * 1000;
    }
    0
}

fn pending_hosts<'a>(
    tenant: &'a Tenant,
    hosts: &'a BTreeMap<HostId, HostStanding>,
) -> impl Iterator<Item = OnDesk> + 'a {
    pending(tenant).filter_map(|(host, fate)| {
        let known = hosts.get(&host);
        let (standing, words) = match fate {
            OrderFate::Failed { code, message, .. } => {
                ("failed", Some(format!("{message} ({code})")))
            }
            OrderFate::Open if known.is_none_or(|known| !known.up) => ("unreachable", None),
            OrderFate::Open | OrderFate::Done => return None,
        };
        let about = known.map_or_else(|| host.to_string(), |known| known.name.clone());
        Some(OnDesk { words, ..OnDesk::new(tenant, Need::CutPending, standing, about) })
    })
}

fn failed_wipe(tenant: &Tenant) -> Option<OnDesk> {
    let wipes = tenant.orders.iter().filter(|order| order.kind == OrderKind::Wipe);
    let failed = wipes.filter_map(|order| match &order.state {
        OrderFate::Failed { message, .. } => Some(message.clone()),
        OrderFate::Open | OrderFate::Done => None,
    });
    (tenant.phase == Phase::WipeFailed).then(|| OnDesk {
        words: Some(failed.collect::<Vec<_>>().join("; ")).filter(|words| !words.is_empty()),
        ..OnDesk::new(tenant, Need::WipeFailed, "failed", approvals(tenant))
    })
}

fn planned_cut(tenant: &Tenant) -> Option<OnDesk> {
    let announced = tenant.announcement.as_ref().filter(|_| tenant.phase.has_traffic())?;
    let standing = if announced.delivered_at.is_some() { "notified" } else { "not-notified" };
    let about = ObligationId::O12a.as_str().to_owned();
    Some(OnDesk {
        words: Some(announced.reason.clone()),
        phones: if announced.delivered_at.is_some() { Vec::new() } else { phones(tenant) },
        ..OnDesk::new(tenant, Need::PlannedCut, standing, about)
    })
}

fn open_cut(tenant: &Tenant) -> Option<OnDesk> {
    if tenant.isolation == Isolation::Connected || !tenant.phase.holds_resources() {
        return None;
    }
    let cut = tenant.last_cut().filter(|cut| cut.kind != CutKind::Drill)?;
    let (standing, about) = (tenant.isolation.as_str(), format!("#{}", cut.number));
    let words = Some(cut.reason.clone());
    Some(OnDesk { words, ..OnDesk::new(tenant, Need::CutOpen, standing, about) })
}

/// Whether the last drill is not over, or has failed.
fn drill_stands(tenant: &Tenant, rules: &Rules) -> bool {
    // What has passed stays so, whenever somebody looks.
    let now = Timestamp::default();
    let passed = |(cut, drill)| drill::report(cut, drill, rules, now).verdict == Verdict::Passed;
    let canary = tenant.canary.in_force.is_some() && tenant.phase.has_traffic();
    canary && tenant.last_drill().is_some_and(|last| !passed(last))
}

/// A drill with the seconds that its ladder runs by; one that failed; or that one is due.
fn drilled(tenant: &Tenant, rules: &Rules, now: Now) -> Option<OnDesk> {
    let due = drill::due_at(tenant).filter(|_| tenant.phase.has_traffic());
    let on_desk = |standing, about| OnDesk::new(tenant, Need::Drill, standing, about);
    if let Some((cut, drill)) = tenant.last_drill() {
        let DrillReport { verdict, steps, silent } = drill::report(cut, drill, rules, now.real);
        let about = number_of(cut);
        match verdict {
            Verdict::UnderWay => {
                let told = untold_cut(tenant, cut, rules, now);
                let due = told.due.filter(|_| cut.is_untold());
                return Some(OnDesk { due, ..on_desk(verdict.as_str(), about) });
            }
            Verdict::Failed if due.is_some() => {
                let failed = steps.iter().filter(|step| step.verdict == Verdict::Failed);
                let mut words: Vec<_> = failed.map(|step| step.step.to_owned()).collect();
                words.dedup();
                words.extend(silent);
                let words = Some(words.join(", "));
                return Some(OnDesk { words, ..on_desk(verdict.as_str(), about) });
            }
            Verdict::Failed | Verdict::Passed => {}
        }
    }
    let due = due?;
    let left_ms = due.ms_since(now.legal);
    let about = tenant.last_drill().map_or_else(|| "-".to_owned(), |(cut, _)| number_of(cut));
    (left_ms <= 0)
        .then(|| OnDesk { due: Some(Until { at: due, left_ms }), ..on_desk("overdue", about) })
}

fn number_of(cut: &Cut) -> String {
    format!("#{}", cut.number)
}

fn waiting_wipe(tenant: &Tenant) -> Option<OnDesk> {
    let waits = tenant.phase == Phase::Stopped && wipe_waits(tenant);
    waits.then(|| OnDesk::new(tenant, Need::WipeApproval, "waiting", approvals(tenant)))
}

fn rotten_contacts(tenant: &Tenant) -> Option<OnDesk> {
    let told = |probe: &&Probe| probe.told && !probe.is_sound() && tenant.phase.is_open();
    let probe = tenant.probe.as_ref().filter(told)?;
    let silent: Vec<_> =
        probe.silent().map(|one| format!("{} ({})", one.contact, one.channel)).collect();
    let standing = if silent.is_empty() { "unacknowledged" } else { "not-delivered" };
    let about = probe.month.strftime("%Y-%m").to_string();
    Some(OnDesk {
        words: Some(silent.join("; ")).filter(|words| !words.is_empty()),
        phones: phones(tenant),
        ..OnDesk::new(tenant, Need::Contacts, standing, about)
    })
}

fn approvals(tenant: &Tenant) -> String {
    format!("{}/2", tenant.wipe.as_ref().map_or(0, |wipe| wipe.approvals.len()))
}

fn deadline(tenant: &Tenant, owed: &Obligation, now: Now) -> Option<OnDesk> {
    let at = owed.due.due_at()?;
    let left_ms = at.ms_since(if owed.is_real_time() { now.real } else { now.legal });
    let standing = if left_ms <= 0 { "overdue" } else { "due" };
    (left_ms <= AHEAD_MS).then(|| OnDesk {
        due: Some(Until { at, left_ms }),
        ..OnDesk::new(tenant, Need::Deadline, standing, owed.id.as_str().to_owned())
    })
}
