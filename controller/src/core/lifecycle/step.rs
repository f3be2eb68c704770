//! One transition in the making: the tenant being changed, and what follows so far.

use jiff::civil::Date;
use tenure_protocol::{
    digest::Digest,
    id::{HostId, NoticeId, OrderId},
    time::Timestamp,
};

use super::{
    Context,
    actor::Actor,
    effect::{Effect, Transition},
    leaving,
};
use crate::core::{
    calendar::{Span, legal_day, plus_days, start_of_day},
    dispatch,
    draw::Draw,
    duty,
    letter::{self, Letter},
    notice::{Notice, NoticeKind, NoticeState},
    obligation::{Counted, Due, Obligation, ObligationId},
    refusal::{Code, Refusal},
    rules::{Period, Rungs, Start},
    tenant::{Contact, Cut, Isolation, OrderFate, OrderKind, Phase, Tenant},
};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A place on the hosts is looked for again after this much legal time, ms.
const PLACE_AGAIN_MS: i64 = 60_000;

pub(super) struct Step<'a> {
    pub(super) tenant: Tenant,
    pub(super) actor: &'a Actor,
    pub(super) context: &'a Context<'a>,
    pub(super) draw: Draw,
    pub(super) effects: Vec<Effect>,
    pub(super) object: Option<Digest>,
    before: Option<&'a Tenant>,
}

impl<'a> Step<'a> {
    pub(super) fn new(before: &'a Tenant, actor: &'a Actor, context: &'a Context<'a>) -> Self {
        let (tenant, before) = (before.clone(), Some(before));
        let draw = Draw::new(context.seed, context.real_now);
        Self { tenant, actor, context, draw, effects: Vec::new(), object: None, before }
    }

    /// For a tenant that did not exist before.
    pub(super) fn first(tenant: Tenant, actor: &'a Actor, context: &'a Context<'a>) -> Self {
        let mut draw = Draw::new(context.seed, context.real_now);
        // The tenant's own id was the first thing drawn from this seed.
        draw.bytes();
        Self { tenant, actor, context, draw, effects: Vec::new(), object: None, before: None }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.now
    }

    pub(super) fn today(&self) -> jiff::civil::Date {
        legal_day(self.context.now)
    }

    pub(super) fn finish(mut self) -> Transition {
        self.tenant.forget_former(self.context.now);
        let changed = !self.effects.is_empty() || self.before != Some(&self.tenant);
        if changed {
            self.tenant.version = self.tenant.version.saturating_add(1);
        }
        self.tenant.wake_at = self.wake_at();
        self.tenant.duty_at = duty::since(&self.tenant, self.context.rules);
        Transition { tenant: self.tenant, effects: self.effects, object: self.object, changed }
    }

    /// The actor acts for the customer: from now on it judges nothing of this tenant.
    pub(super) fn applicant(&mut self) {
        self.tenant.applicants.insert(self.actor.name.clone());
    }

    /// Nothing is owed any more.
    pub(super) fn lapse_all(&mut self) {
        let now = self.context.now;
        for owed in &mut self.tenant.obligations {
            owed.lapse(now);
        }
    }

    /// Opens an obligation that counts from now: its number and kind of days are the rules'.
    pub(super) fn owe(&mut self, id: ObligationId) {
        let (due, counted) = match self.context.rules.rule(id).period {
            Period::SameAs(other) => self.ends_with(id, other),
            Period::WorkingDays(_)
            | Period::CalendarDays(_)
            | Period::Months(_)
            | Period::Seconds(_)
            | Period::WorkingDaysBefore(_)
            | Period::EachMonth(_)
            | Period::EachYear(_)
            | Period::None => {
                let start = Start { day_zero: self.today(), real: self.context.real_now };
                self.context.rules.count(id, start, self.context.calendar)
            }
        };
        self.owe_until(id, due, counted);
    }

    /// Opens an obligation that has to be met before a day begins, counted back from it.
    pub(super) fn owe_before(&mut self, id: ObligationId, day: Date) {
        let eve = plus_days(day, -1);
        let counted = self.context.rules.counted(id, self.today());
        self.owe_until(id, Due::end_of(Span { earliest: eve, latest: eve }), counted);
    }

    /// The deadline of an obligation that ends with another one: with its last, as it was counted.
    pub(super) fn ends_with(&self, id: ObligationId, other: ObligationId) -> (Due, Counted) {
        let last = self.tenant.obligations.iter().rfind(|known| known.id == other);
        last.map_or_else(
            || (Due::Never, self.context.rules.counted(id, self.today())),
            |last| (last.due, last.counted.clone()),
        )
    }

    /// Opens an obligation with a deadline that is computed already.
    pub(super) fn owe_until(&mut self, id: ObligationId, due: Due, counted: Counted) {
        let same = self.tenant.obligations.iter().filter(|known| known.id == id).count();
        let serial = u32::try_from(same).unwrap_or(u32::MAX).saturating_add(1);
        self.tenant.obligations.push(Obligation::open(id, serial, due, counted));
    }

    /// Meets every owed obligation of this id now.
    pub(super) fn meet(&mut self, id: ObligationId) {
        let now = self.context.now;
        for owed in self.owed(id) {
            owed.meet(now);
        }
    }

    /// No longer owed.
    pub(super) fn lapse(&mut self, id: ObligationId) {
        let now = self.context.now;
        for owed in self.owed(id) {
            owed.lapse(now);
        }
    }

    pub(super) fn owed(&mut self, id: ObligationId) -> impl Iterator<Item = &mut Obligation> {
        self.tenant.obligations.iter_mut().filter(move |known| known.id == id && known.is_owed())
    }

    /// Orders something of one host.
    pub(super) fn order(&mut self, host: HostId, kind: OrderKind) {
        let fleet = self.context.fleet;
        if let Some(draft) = dispatch::order(&mut self.tenant, host, kind, fleet, &mut self.draw) {
            self.effects.push(Effect::Order(draft));
        }
    }

    /// Orders something of every host that the tenant is on.
    pub(super) fn order_all(&mut self, kind: OrderKind) {
        for host in self.tenant.hosts() {
            self.order(host, kind);
        }
    }

    pub(super) fn set_fate(&mut self, order: OrderId, fate: OrderFate) {
        if let Some(known) = self.tenant.orders.iter_mut().find(|known| known.id == order) {
            known.state = fate;
        }
    }

    pub(super) fn fail(
        &mut self,
        order: OrderId,
        code: &str,
        message: &str,
        again_ms: Option<i64>,
    ) {
        let again_at = again_ms.map(|ms| self.context.now.plus_ms(ms));
        let (code, message) = (code.to_owned(), message.to_owned());
        self.set_fate(order, OrderFate::Failed { code, message, again_at });
    }

    /// Who acts, if it is another person than who proposed `what`.
    pub(super) fn second_person(&self, first: &str, what: &str) -> Result<String, Refusal> {
        let second = self.actor.name.clone();
        if second == first {
            return Err(Refusal::new(
                Code::SeparationOfDuties,
                format!("{second} proposed this {what}: a second person has to confirm it"),
            ));
        }
        Ok(second)
    }

    /// Whether every host has carried out its order of this kind.
    pub(super) fn all_done(&self, kind: OrderKind) -> bool {
        let done = |host: &HostId| {
            self.tenant.orders.iter().any(|order| {
                order.host == *host && order.kind == kind && order.state == OrderFate::Done
            })
        };
        self.tenant.hosts().iter().all(done)
    }

    /// Renders a letter for every contact over every channel, and arms the notices; of a cut, for
    /// those before them as well, whose notices are none of those that it gives.
    pub(super) fn arm(
        &mut self,
        kind: NoticeKind,
        letter: &Letter,
        state: &NoticeState,
    ) -> Vec<NoticeId> {
        let contacts = self.tenant.application.contacts.clone();
        let ids = self.arm_for(kind, letter, state, &contacts);
        if kind.is_of_cut() {
            self.arm_former(kind, letter, state);
        }
        ids
    }

    /// As [`Step::arm`], for the contacts from before the last changes alone.
    pub(super) fn arm_former(&mut self, kind: NoticeKind, letter: &Letter, state: &NoticeState) {
        let notices = self.render_former(kind, letter, state);
        self.arm_rendered(notices);
    }

    /// As [`Step::render`], for the contacts from before the last changes alone.
    pub(super) fn render_former(
        &mut self,
        kind: NoticeKind,
        letter: &Letter,
        state: &NoticeState,
    ) -> Vec<Notice> {
        let (letter, now) = ((self.context.letters, letter), self.context.real_now);
        let all = self.tenant.former_contacts(self.now());
        letter::render_former(letter, &self.tenant, kind, state, &all, now, &mut self.draw)
    }

    /// As [`Step::arm`], for other contacts.
    pub(super) fn arm_for(
        &mut self,
        kind: NoticeKind,
        letter: &Letter,
        state: &NoticeState,
        contacts: &[Contact],
    ) -> Vec<NoticeId> {
        let notices = self.render_for(kind, letter, state, contacts);
        let ids = notices.iter().map(|notice| notice.id).collect();
        self.arm_rendered(notices);
        ids
    }

    pub(super) fn arm_rendered(&mut self, notices: Vec<Notice>) {
        self.effects.extend(notices.into_iter().map(|notice| Effect::Arm(Box::new(notice))));
    }

    pub(super) fn render(
        &mut self,
        kind: NoticeKind,
        letter: &Letter,
        state: &NoticeState,
    ) -> Vec<Notice> {
        let contacts = self.tenant.application.contacts.clone();
        self.render_for(kind, letter, state, &contacts)
    }

    fn render_for(
        &mut self,
        kind: NoticeKind,
        letter: &Letter,
        state: &NoticeState,
        contacts: &[Contact],
    ) -> Vec<Notice> {
        let (letter, now) = ((self.context.letters, letter), self.context.real_now);
        letter::render(letter, &self.tenant, kind, state, contacts, now, &mut self.draw)
    }

    /// To be sent at once.
    pub(super) fn due(&self) -> NoticeState {
        let now = self.context.real_now;
        NoticeState::Due { since: now, next_at: now }
    }

    /// When the next reminder that a cut is open goes out; legal time.
    pub(super) fn reminder_at(&self, cut: &Cut) -> Option<Timestamp> {
        match self.context.rules.rule(ObligationId::O12c).reminders {
            Rungs::EveryDays(days) => Some(cut.reminded_at.plus_ms(i64::from(days) * DAY_MS)),
            Rungs::None | Rungs::WorkingDays(_) | Rungs::CalendarDays(_) => None,
        }
    }

    /// The next legal instant at which time alone does something.
    fn wake_at(&self) -> Option<Timestamp> {
        let tenant = &self.tenant;
        let legal_ahead = self.context.now.ms_since(self.context.real_now);
        let open = tenant
            .obligations
            .iter()
            .filter(|owed| matches!(owed.state, crate::core::obligation::ObligationState::Open));
        let deadlines = open.filter_map(|owed| {
            let limit = owed.breach_at()?;
            Some(if owed.is_real_time() { limit.plus_ms(legal_ahead) } else { limit })
        });
        let again = tenant.orders.iter().filter_map(|order| match &order.state {
            OrderFate::Failed { again_at, .. } => *again_at,
            OrderFate::Open | OrderFate::Done => None,
        });
        let course = leaving::course(tenant, self.context).map(|(at, _)| at);
        let phase = match tenant.phase {
            Phase::Approved => Some(self.context.now.plus_ms(PLACE_AGAIN_MS)),
            Phase::WipeVerified => Some(self.context.now),
            Phase::Draft
            | Phase::Submitted
            | Phase::CorrectionRequested
            | Phase::Rejected
            | Phase::Withdrawn
            | Phase::Configuring
            | Phase::ConfigurationFailed
            | Phase::Trial
            | Phase::UnderReview
            | Phase::Rectifying
            | Phase::TrialExpired
            | Phase::Online
            | Phase::OffboardingRequested
            | Phase::OffboardingApproved
            | Phase::Draining
            | Phase::Stopped
            | Phase::Wiping
            | Phase::WipeFailed
            | Phase::Closed => None,
        };
        let reminder = match tenant.isolation {
            Isolation::Cutting { .. } | Isolation::Cut { .. } => {
                tenant.last_cut().and_then(|cut| self.reminder_at(cut))
            }
            Isolation::Connected | Isolation::Restoring { .. } => None,
        };
        let check = super::paperwork::next_month(tenant).map(start_of_day);
        let rung = super::reminding::next_at(self);
        let call = super::calling::next_at(self).map(|at| at.plus_ms(legal_ahead));
        let drill = super::drilling::next_at(self).map(|at| at.plus_ms(legal_ahead));
        let dates = deadlines.chain(again).chain(course).chain(phase).chain(check);
        let term = super::grouping::next_end(tenant);
        let probe = super::probing::next_at(self);
        dates.chain(reminder).chain(rung).chain(call).chain(term).chain(probe).chain(drill).min()
    }
}
