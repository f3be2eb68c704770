//! One transition in the making: the tenant being changed, and what follows so far.

use tenure_protocol::{
    digest::Digest,
    id::{HostId, NoticeId, OrderId},
    time::Timestamp,
};

use super::{
    Context,
    event::{Actor, Effect, Transition},
};
use crate::core::{
    calendar::{Span, legal_day, start_of_day},
    dispatch,
    draw::Draw,
    letter::{self, Letter},
    notice::{Notice, NoticeKind, NoticeState},
    obligation::{Counted, Due, Obligation, ObligationId, Rule},
    tenant::{Isolation, OrderFate, OrderKind, Phase, Tenant},
};

/// A reminder that a cut is open goes out at this interval of legal time, ms.
pub(super) const REMINDER_MS: i64 = 86_400_000;

pub(super) struct Step<'a> {
    pub(super) tenant: Tenant,
    pub(super) actor: &'a Actor,
    pub(super) context: &'a Context<'a>,
    pub(super) draw: Draw,
    pub(super) effects: Vec<Effect>,
    pub(super) object: Option<Digest>,
    before: Option<Tenant>,
}

impl<'a> Step<'a> {
    pub(super) fn new(tenant: Tenant, actor: &'a Actor, context: &'a Context<'a>) -> Self {
        let before = Some(tenant.clone());
        let draw = Draw::new(context.seed, context.real_now);
        Self { tenant, actor, context, draw, effects: Vec::new(), object: None, before }
    }

    /// For a tenant that did not exist before.
    pub(super) fn first(tenant: Tenant, actor: &'a Actor, context: &'a Context<'a>) -> Self {
        let mut step = Self::new(tenant, actor, context);
        step.before = None;
        // The tenant's own id was the first thing drawn from this seed.
        step.draw.bytes();
        step
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.now
    }

    pub(super) fn today(&self) -> jiff::civil::Date {
        legal_day(self.context.now)
    }

    pub(super) fn finish(mut self) -> Transition {
        let changed = !self.effects.is_empty() || self.before.as_ref() != Some(&self.tenant);
        if changed {
            self.tenant.version = self.tenant.version.saturating_add(1);
        }
        self.tenant.wake_at = self.wake_at();
        Transition { tenant: self.tenant, effects: self.effects, object: self.object, changed }
    }

    /// Opens an obligation counted from today.
    pub(super) fn owe(&mut self, id: ObligationId, rule: Rule, policy: bool) {
        let day_zero = self.today();
        let calendar = self.context.calendar;
        let due = match rule {
            Rule::WorkingDays(days) => Due::end_of(calendar.working_days(day_zero, days)),
            Rule::CalendarDays(days) => Due::end_of(calendar.calendar_days(day_zero, days)),
            Rule::Months(months) => Due::end_of(calendar.months(day_zero, months)),
            Rule::Before(day) => {
                let eve = crate::core::calendar::plus_days(day, -1);
                Due::end_of(Span { earliest: eve, latest: eve })
            }
            Rule::Seconds(seconds) => {
                Due::Instant { due_at: self.context.real_now.plus_ms(i64::from(seconds) * 1000) }
            }
            Rule::EachMonth | Rule::None => Due::Never,
        };
        self.owe_until(id, due, Counted { rule, policy, day_zero });
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
        if let Some(draft) = dispatch::order(&mut self.tenant, host, kind, &mut self.draw) {
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

    /// Whether every host has carried out its order of this kind.
    pub(super) fn all_done(&self, kind: OrderKind) -> bool {
        let done = |host: &HostId| {
            self.tenant.orders.iter().any(|order| {
                order.host == *host && order.kind == kind && order.state == OrderFate::Done
            })
        };
        self.tenant.hosts().iter().all(done)
    }

    /// Renders a letter for every contact over every channel, and arms the notices.
    pub(super) fn arm(
        &mut self,
        kind: NoticeKind,
        letter: &Letter,
        state: &NoticeState,
    ) -> Vec<NoticeId> {
        let notices = self.render(kind, letter, state);
        let ids = notices.iter().map(|notice| notice.id).collect();
        self.effects.extend(notices.into_iter().map(|notice| Effect::Arm(Box::new(notice))));
        ids
    }

    pub(super) fn render(
        &mut self,
        kind: NoticeKind,
        letter: &Letter,
        state: &NoticeState,
    ) -> Vec<Notice> {
        letter::render(&self.tenant, kind, letter, state, self.context.real_now, &mut self.draw)
    }

    /// To be sent at once.
    pub(super) fn due(&self) -> NoticeState {
        let now = self.context.real_now;
        NoticeState::Due { since: now, next_at: now }
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
        let stop = match (tenant.phase, &tenant.offboarding) {
            (Phase::OffboardingApproved, Some(leaving)) if leaving.confirmed_at.is_some() => {
                Some(start_of_day(leaving.stop_day))
            }
            (Phase::WipeVerified, _) => Some(self.context.now),
            _ => None,
        };
        let reminder = match tenant.isolation {
            Isolation::Cutting { .. } | Isolation::Cut { .. } => {
                tenant.last_cut().map(|cut| cut.reminded_at.plus_ms(REMINDER_MS))
            }
            Isolation::Connected | Isolation::Restoring { .. } => None,
        };
        let check = super::paperwork::next_month(tenant).map(start_of_day);
        deadlines.chain(again).chain(stop).chain(reminder).chain(check).min()
    }
}
