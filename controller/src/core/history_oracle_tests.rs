//! The oracle of the random histories: it keeps a log of its own of what was accepted and ordered,
//! and says of each transition whether it may follow. It believes no flag of the core's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};
use tenure_protocol::{
    channel::Grade,
    generation::Generation,
    id::{HostId, NoticeId, OrderId},
    wire::v1::{Action, Lane, TenantWanted, Traffic, WipeSubject},
};

use super::{
    due::{deadlines, missed},
    *,
};
use crate::core::{
    calendar::{Day, legal_day, plus_days},
    notice::NoticeKind,
    obligation::Obligation,
    rules::IcpGate,
};

/// The sentence of a property that does not hold.
pub(super) type Verdict = Result<(), String>;

/// What was accepted.
pub(super) struct Told<'a> {
    pub(super) before: &'a Tenant,
    pub(super) event: &'a Event,
    pub(super) actor: &'a Actor,
    pub(super) context: &'a Context<'a>,
    pub(super) after: &'a Tenant,
    pub(super) effects: &'a [Effect],
}

/// What the accepted events of one history amount to.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// Who acted for the customer, and who decided for the provider.
    applied: BTreeSet<String>,
    decided: BTreeSet<String>,
    /// The last order of each kind to each host.
    orders: BTreeMap<(HostId, &'static str), OrderId>,
    generations: BTreeMap<(HostId, Lane), Generation>,
    /// Every volume and memory that a host was ever told to have, and what is proven destroyed.
    allotted: BTreeSet<(HostId, WipeSubject)>,
    proven: BTreeSet<(HostId, WipeSubject)>,
    stopped: BTreeSet<HostId>,
    /// Who approved the wipe that is not ordered yet, and how many were ordered.
    wipers: BTreeSet<String>,
    wipes: u32,
    /// The reports that wait for their review, and whether some ever passed.
    reports: Option<[Digest; 2]>,
    online: bool,
    asked: u32,
    mended: BTreeSet<u32>,
    /// Who handed in the filing that nobody has looked up yet.
    filed_by: Option<String>,
    /// Somebody answers for the Internet: a filing that was found, or a person where the site
    /// allows that.
    answered_for: bool,
    /// Who released each hold, and whether a second person has countersigned that.
    holds: Vec<(Option<String>, bool)>,
    leaving: Option<Leaving>,
    /// The notices of the planned cut, and whether one reached the customer.
    announced: BTreeSet<NoticeId>,
    reached: bool,
    /// Every deadline that was missed, as it was recorded last.
    missed: Vec<Obligation>,
}

#[derive(Debug)]
struct Leaving {
    asked: Date,
    lawful: Date,
    waivers: BTreeSet<String>,
    approved: bool,
    confirmed: bool,
    second: BTreeSet<NoticeId>,
    /// When the second notice went out.
    sent: Option<Date>,
    /// Who says that it was served otherwise, and when.
    claimed: Option<(String, Date)>,
    served: Option<Date>,
}

/// Holds the history to a rule.
pub(super) fn rule(words: &str, holds: bool) -> Verdict {
    if holds { Ok(()) } else { Err(words.to_owned()) }
}

const fn kind_of(action: &Action) -> &'static str {
    match action {
        Action::Configure(wanted) if is_stop(wanted) => "stop",
        Action::Configure(_) => "configure",
        Action::Cut(_) => "cut",
        Action::Restore(_) => "restore",
        Action::Wipe(_) => "wipe",
    }
}

const fn is_stop(wanted: &TenantWanted) -> bool {
    matches!(wanted.instances.as_slice(), [first, ..] if matches!(first.power, Power::Stopped))
}

impl Oracle {
    /// The log of a tenant that this person has opened.
    pub(super) fn new(applicant: &str) -> Self {
        Self { applied: BTreeSet::from([applicant.to_owned()]), ..Self::default() }
    }

    /// Judges what was accepted, and notes it.
    pub(super) fn judge(&mut self, told: &Told<'_>) -> Verdict {
        self.persons(told)?;
        self.trial(told)?;
        self.leave(told)?;
        self.isolation(told)?;
        self.reports_of_hosts(told)?;
        for effect in told.effects {
            match effect {
                Effect::Order(draft) => self.ordered(told, draft)?,
                Effect::Arm(notice) => self.armed(told, notice.kind, notice.id),
                Effect::Release { .. }
                | Effect::Void { .. }
                | Effect::Watch { .. }
                | Effect::Disarm { .. }
                | Effect::Stop { .. }
                | Effect::Acknowledge(_)
                | Effect::Exit => {}
            }
        }
        self.phase(told)?;
        missed(&mut self.missed, told)?;
        deadlines(told)
    }

    /// Nobody both applies and decides; who decides twice is one person.
    fn persons(&mut self, Told { event, actor, .. }: &Told<'_>) -> Verdict {
        let pairs = matches!(
            event,
            Event::ApproveWipe
                | Event::WaivePeriod { .. }
                | Event::CountersignHold { .. }
                | Event::RecordService { .. }
                | Event::CountersignService
                | Event::ProposeCutRule { .. }
                | Event::ConfirmCutRule
                | Event::WithdrawCutRule { .. }
                | Event::ProposeCanary { .. }
                | Event::ConfirmCanary
                | Event::WithdrawCanary { .. }
        );
        match actor.role {
            Role::Customer => self.applied.insert(actor.name.clone()),
            Role::Reviewer | Role::Security => self.decided.insert(actor.name.clone()),
            Role::Operator if pairs => self.decided.insert(actor.name.clone()),
            Role::Operator | Role::Auditor | Role::Administrator | Role::Controller => false,
        };
        if let Event::DecideExtension { decision: Decision::Approve, experts, .. } = event {
            let names: BTreeSet<_> = experts.iter().map(|expert| expert.name.clone()).collect();
            let rests = names.len() >= 2 && names.is_disjoint(&self.applied);
            rule("an extension rests on two experts who do not act for the customer", rests)?;
        }
        rule("nobody both applies and decides", self.applied.is_disjoint(&self.decided))?;
        self.hold(event, actor)
    }

    fn hold(&mut self, event: &Event, actor: &Actor) -> Verdict {
        let at = |hold: &u32| usize::try_from(*hold).unwrap_or(0).wrapping_sub(1);
        if let Event::PlaceHold { .. } = event {
            self.holds.push((None, false));
        } else if let Event::ReleaseHold { hold, .. } = event {
            let known = self.holds.get_mut(at(hold)).ok_or("a hold that is not there ended")?;
            known.0 = Some(actor.name.clone());
        } else if let Event::CountersignHold { hold } = event {
            let known = self.holds.get_mut(at(hold)).ok_or("a hold that is not there ended")?;
            if let (Some(by), false) = (&known.0, known.1) {
                rule("a hold is ended by two persons", *by != actor.name)?;
                known.1 = true;
            }
        }
        Ok(())
    }

    fn is_held(&self) -> bool {
        self.holds.iter().any(|(_, over)| !over)
    }

    /// No formal operation without a passed review that names both reports.
    fn trial(&mut self, told: &Told<'_>) -> Verdict {
        match told.event {
            Event::SubmitReports { test_report, security_report } => {
                let all = (1..=self.asked).all(|item| self.mended.contains(&item));
                rule("reports follow once every item is rectified", all)?;
                let two = test_report.sha256 != security_report.sha256;
                rule("two reports are two files", two)?;
                self.reports = Some([test_report.sha256, security_report.sha256]);
            }
            Event::ReviewReports { decision, items, .. } => {
                let named = told.after.opinions.last().and_then(|opinion| opinion.reports);
                let reports = self.reports.take();
                rule("a review names both reports", reports.is_some() && named == reports)?;
                self.asked += u32::try_from(items.len()).unwrap_or(0);
                self.online |= *decision == ReportsDecision::Pass;
            }
            Event::Rectify { item, .. } => {
                self.mended.insert(*item);
            }
            Event::FileIcp { .. } => self.filed_by = Some(told.actor.name.clone()),
            Event::ConfirmIcp { found, .. } => {
                let filed = self.filed_by.take();
                let second = filed.is_some_and(|by| by != told.actor.name);
                rule("a filing is looked up by another than who filed it", second)?;
                self.answered_for |= *found;
            }
            Event::OpenIcp { .. } => {
                let strict = told.context.rules.policy().icp_gate == IcpGate::Strict;
                rule("under strict nobody opens the Internet before the filing", !strict)?;
                self.answered_for = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self, told: &Told<'_>) -> Verdict {
        if let Event::RequestOffboarding { stop_day, .. } = told.event {
            let today = legal_day(told.context.now);
            self.leaving = Some(Leaving {
                asked: *stop_day,
                lawful: fifteen_after(today, told.context.calendar),
                waivers: BTreeSet::new(),
                approved: false,
                confirmed: false,
                second: BTreeSet::new(),
                sent: None,
                claimed: None,
                served: None,
            });
        }
        let Some(leaving) = &mut self.leaving else { return Ok(()) };
        match told.event {
            Event::WaivePeriod { .. } => {
                let other = leaving.waivers.insert(told.actor.name.clone());
                rule("the 15 working days are waived by two persons", other)?;
            }
            Event::ReviewOffboarding { decision: Decision::Approve, .. } => leaving.approved = true,
            Event::ReviewOffboarding { .. } => self.leaving = None,
            Event::ConfirmOffboarding { migrated, backed_up } => {
                leaving.confirmed |= *migrated && *backed_up;
            }
            Event::RecordService { served_on, .. } => {
                let sent = leaving.sent.is_some_and(|sent| sent <= *served_on);
                rule("what is served was sent", sent)?;
                let past = *served_on <= legal_day(told.context.now);
                rule("what is served was served before", past)?;
                leaving.claimed = Some((told.actor.name.clone(), *served_on));
            }
            Event::CountersignService => {
                let (by, on) = leaving.claimed.take().ok_or("what nobody recorded is signed")?;
                rule("a service is recorded by one and signed by another", by != told.actor.name)?;
                leaving.served = leaving.served.or(Some(on));
            }
            Event::NoticeDelivered { notice, grade: Grade::E2, .. }
                if leaving.second.contains(notice) =>
            {
                leaving.served = leaving.served.or(Some(legal_day(told.context.now)));
            }
            _ => {}
        }
        Ok(())
    }

    fn forget_announced(&mut self) {
        self.announced.clear();
        self.reached = false;
    }

    /// A planned cut follows a notice that reached the customer; each cut is notified.
    fn isolation(&mut self, told: &Told<'_>) -> Verdict {
        match told.event {
            Event::AnnounceCut { .. } | Event::CallOffCut { .. } => self.forget_announced(),
            Event::NoticeDelivered { notice, grade: Grade::E2, .. } => {
                self.reached |= self.announced.contains(notice);
            }
            Event::AcknowledgeCut { cut: None }
            | Event::RecordAcknowledgement { cut: None, .. } => self.reached = true,
            Event::Cut { kind, .. } => {
                let ready = *kind != CutKind::Planned || self.reached;
                rule("a planned cut follows a notice that reached the customer", ready)?;
                if *kind != CutKind::Drill {
                    self.forget_announced();
                }
                let cut = |e: &Effect| matches!(e, Effect::Arm(of) if of.kind == NoticeKind::Cut);
                rule("the notice of a cut is armed with it", told.effects.iter().any(cut))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Only the last order of its kind counts; a pass is one of this attempt that nothing
    /// contradicts.
    fn reports_of_hosts(&mut self, told: &Told<'_>) -> Verdict {
        let Event::OrderReported { host, order, report } = told.event else { return Ok(()) };
        let last = |kind| self.orders.get(&(*host, kind)) == Some(order);
        let known = ["configure", "stop", "cut", "restore", "wipe"].into_iter().any(last);
        rule("a report is on the last order of its kind to this host", known)?;
        match report {
            Reported::Configured { instances } if last("stop") => {
                let down = |(_, power): &(_, Power)| *power == Power::Stopped;
                if instances.iter().all(down) {
                    self.stopped.insert(*host);
                }
            }
            Reported::Wiped { findings } | Reported::Failed { findings, .. } if last("wipe") => {
                for finding in findings {
                    let sound = findings
                        .iter()
                        .filter(|one| one.subject == finding.subject)
                        .all(|one| one.result == FindingResult::Pass && one.attempt == self.wipes);
                    if sound {
                        self.proven.insert((*host, finding.subject));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn armed(&mut self, told: &Told<'_>, kind: NoticeKind, id: NoticeId) {
        if kind == NoticeKind::CutAnnounced {
            self.announced.insert(id);
        } else if let (NoticeKind::SecondNotice, Some(leaving)) = (kind, &mut self.leaving) {
            leaving.second.insert(id);
            leaving.sent = Some(legal_day(told.context.now));
        }
    }

    fn ordered(&mut self, told: &Told<'_>, draft: &OrderDraft) -> Verdict {
        let lane = (draft.host, draft.action.lane());
        let last = self.generations.insert(lane, draft.generation);
        let later = last.is_none_or(|last| last < draft.generation);
        rule("each order has a later generation", later)?;
        self.orders.insert((draft.host, kind_of(&draft.action)), draft.id);
        match &draft.action {
            Action::Configure(wanted) => self.wanted(told, draft.host, wanted),
            Action::Wipe(wipe) => self.wipe(told, draft.host, wipe),
            Action::Cut(_) | Action::Restore(_) => Ok(()),
        }
    }

    /// No public ingress before formal operation, nor before somebody answers for it.
    fn wanted(&mut self, told: &Told<'_>, host: HostId, wanted: &TenantWanted) -> Verdict {
        for one in &wanted.instances {
            let volumes = one.volumes.iter().map(|volume| WipeSubject::Volume {
                instance: one.instance,
                volume: volume.volume,
            });
            let memory = WipeSubject::Memory { instance: one.instance };
            self.allotted.extend(volumes.chain([memory]).map(|subject| (host, subject)));
            for open in &one.nic.ingress {
                let public = (open.peers.first..=open.peers.last).contains(&[8, 8, 8, 8]);
                let asked_for_it = match open.traffic {
                    Traffic::Ports { first, last, .. } => (first..=last).contains(&443),
                    Traffic::Echo | Traffic::All => false,
                };
                let may = told.after.phase != Phase::TrialExpired
                    && (!public && !asked_for_it || self.online && self.answered_for);
                rule("nothing is open before its time", may)?;
            }
        }
        Ok(())
    }

    /// A wipe starts with the second person's approval alone.
    fn wipe(&mut self, told: &Told<'_>, host: HostId, wipe: &v1::WipeOrder) -> Verdict {
        let approves = matches!(told.event, Event::ApproveWipe);
        rule("a wipe never starts from a timer or a report", approves)?;
        rule("a wipe starts with two persons' approval", self.wipers.len() == 1)?;
        let second = !self.wipers.contains(&told.actor.name);
        rule("a wipe is approved by two persons who differ", second)?;
        rule("nothing is wiped under a hold", !self.is_held())?;
        let down = self.allotted.iter().all(|(host, _)| self.stopped.contains(host));
        rule("nothing is wiped that was not stopped", down)?;
        let here = |(on, _): &&(HostId, WipeSubject)| *on == host;
        let mut left = self.allotted.difference(&self.proven).filter(here);
        let all = left.all(|(_, subject)| wipe.subjects.contains(subject));
        rule("a wipe leaves nothing out", all && wipe.attempt == self.wipes + 1)
    }

    fn phase(&mut self, told: &Told<'_>) -> Verdict {
        let Told { before, event, after, context, .. } = told;
        let (from, to) = (before.phase, after.phase);
        if let Event::ApproveWipe = event {
            self.wipers.insert(told.actor.name.clone());
        }
        if to == Phase::Wiping && from != to {
            rule("a wipe never starts by itself", self.wipers.len() == 2)?;
            self.wipers.clear();
            self.wipes += 1;
        }
        rule("an end is an end", !from.is_final() || to == from)?;
        if matches!(to, Phase::WipeVerified | Phase::Closed) {
            let proven = !self.allotted.is_empty() && self.allotted.is_subset(&self.proven);
            rule("nothing is closed without an attestation for all that was allotted", proven)?;
        }
        if to == Phase::Online && from != to {
            rule("no formal operation without a passed review of both reports", self.online)?;
        }
        let Some(leaving) = self.leaving.as_ref().filter(|_| to == Phase::Draining && from != to)
        else {
            return rule(
                "nothing is stopped that did not ask",
                to != Phase::Draining || from == to,
            );
        };
        let two = leaving.waivers.len() >= 2;
        let stop = if two { leaving.asked } else { leaving.asked.max(leaving.lawful) };
        rule("nothing is stopped before it is granted", leaving.approved)?;
        rule("nothing is stopped before the stop day", legal_day(context.now) >= stop)?;
        let over = |on| ten_passed(on, legal_day(context.now), context.calendar);
        let heard = leaving.confirmed || leaving.served.is_some_and(over);
        rule("nothing is stopped unheard, or before its grace is over", heard)?;
        rule("nothing is stopped under a hold", !self.is_held())
    }
}

/// Whether ten Work days lie between two days; unsettled days by their weekday.
fn ten_passed(from: Date, to: Date, calendar: &Calendar) -> bool {
    let days = (1..).map(|ahead| plus_days(from, ahead)).take_while(|day| *day < to);
    days.take(400).filter(|day| is_work(*day, calendar)).nth(9).is_some()
}

fn is_work(day: Date, calendar: &Calendar) -> bool {
    match calendar.day(day) {
        Day::Work => true,
        Day::Rest => false,
        Day::Unknown => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
    }
}

/// The first day with 15 Work days before it and after this one; unsettled days by their weekday.
fn fifteen_after(today: Date, calendar: &Calendar) -> Date {
    let mut days = 0;
    for ahead in 1..120 {
        let day = plus_days(today, ahead);
        if days >= 15 {
            return day;
        }
        days += u32::from(is_work(day, calendar));
    }
    Date::MAX
}
