//! One random history while it is told: the tenant, the world around it, and the log.

use std::fmt::Write as _;

use super::{
    oracle::{self, Oracle, Verdict},
    *,
};
use crate::core::tenant::OpenOrder;

/// Farther than any deadline, ms.
const FAR_MS: i64 = 4_000 * 86_400_000;

/// One event as it happened.
pub(super) struct Entry {
    event: Event,
    actor: Actor,
    phase: Phase,
    now: Timestamp,
    real_now: Timestamp,
    seed: [u8; 32],
    /// Which of the worlds it happened in.
    world: usize,
    /// What followed, or why nothing did.
    outcome: Result<Phase, Refusal>,
    changed: bool,
}

/// A history while it is told.
pub(super) struct History {
    /// The worlds, one after another: another one for each new notice and each fleet.
    worlds: Vec<World>,
    first: Tenant,
    pub(super) tenant: Tenant,
    pub(super) now: Timestamp,
    /// Legal time is ahead of the real clock by this, ms.
    pub(super) ahead_ms: i64,
    /// How many notices of the State Council have come in.
    pub(super) amended: usize,
    pub(super) log: Vec<Entry>,
    /// Every order that was ever given, and every notice that was ever armed.
    pub(super) given: Vec<OpenOrder>,
    pub(super) armed: Vec<NoticeId>,
    oracle: Oracle,
}

impl History {
    /// A tenant that somebody has opened: with a draft, or with its application.
    pub(super) fn open(mut world: World, drafted: bool, ahead_ms: i64) -> Self {
        let (now, customer) = (world.now, customer());
        let context = Context { now, real_now: now.plus_ms(-ahead_ms), ..world.context() };
        let opened = if drafted { open_draft } else { open };
        let tenant = opened(&application(), &customer, &context).expect("well formed").tenant;
        Self {
            worlds: vec![world],
            first: tenant.clone(),
            tenant,
            now,
            ahead_ms,
            amended: 0,
            log: Vec::new(),
            given: Vec::new(),
            armed: Vec::new(),
            oracle: Oracle::new(&customer.name),
        }
    }

    pub(super) fn world(&self) -> &World {
        self.worlds.last().expect("there is one from the first on")
    }

    /// From now on the world is another.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut World)) {
        let mut world = self.world().clone();
        change(&mut world);
        self.worlds.push(world);
    }

    pub(super) fn real_now(&self) -> Timestamp {
        self.now.plus_ms(-self.ahead_ms)
    }

    /// Lets the core decide on an event, and holds what it says to everything that has to hold.
    pub(super) fn happen(&mut self, event: Event, actor: Actor) -> Verdict {
        let (now, real_now, number) = (self.now, self.real_now(), self.log.len());
        let world = self.worlds.len() - 1;
        let context = Context { now, real_now, ..self.worlds[world].context() };
        let outcome = apply(&self.tenant, &event, &actor, &context);
        let mut entry = Entry {
            event,
            actor,
            phase: self.tenant.phase,
            now,
            real_now,
            seed: context.seed,
            world,
            outcome: Ok(self.tenant.phase),
            changed: false,
        };
        let verdict = match outcome {
            Err(refusal) => {
                let verdict = is_proper(&refusal);
                entry.outcome = Err(refusal);
                verdict
            }
            Ok(Transition { tenant, effects, changed, .. }) => {
                (entry.outcome, entry.changed) = (Ok(tenant.phase), changed);
                let Entry { event, actor, .. } = &entry;
                let (before, after) = (&self.tenant, &tenant);
                let context = &context;
                let told = oracle::Told { before, event, actor, context, after, effects: &effects };
                let mut verdict = if changed { self.oracle.judge(&told) } else { is_still(&told) };
                if number.is_multiple_of(8) {
                    verdict = verdict
                        .and_then(|()| twice(after, event, actor, context))
                        .and_then(|()| sleeps(after, context));
                }
                self.tenant = tenant;
                effects.iter().for_each(|effect| self.note(effect));
                verdict
            }
        };
        self.log.push(entry);
        verdict
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Order(draft) => {
                let order = self.tenant.orders.iter().find(|known| known.id == draft.id);
                self.given.extend(order.cloned());
            }
            Effect::Arm(notice) => self.armed.push(notice.id),
            Effect::Release { correction, .. } | Effect::Void { correction, .. } => {
                self.armed.push(correction.id);
            }
            Effect::Watch { .. }
            | Effect::Disarm { .. }
            | Effect::Stop { .. }
            | Effect::Acknowledge(_)
            | Effect::Exit => {}
        }
    }

    /// The log told again from its first tenant: read back from JSON, without what was refused and
    /// without what changed nothing.
    pub(super) fn replays(&mut self) -> Verdict {
        let mut tenant = self.first.clone();
        for entry in self.log.iter().filter(|entry| entry.changed) {
            let text = serde_json::to_string(&entry.event).map_err(|error| error.to_string())?;
            let event: Event = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let (now, real_now, seed) = (entry.now, entry.real_now, entry.seed);
            let context = Context { now, real_now, seed, ..self.worlds[entry.world].context() };
            let told = apply(&tenant, &event, &entry.actor, &context);
            tenant = told.map_err(|refusal| format!("replayed, it is refused: {refusal}"))?.tenant;
        }
        // When it wakes is reckoned anew by what changes nothing, too.
        tenant.wake_at = self.tenant.wake_at;
        if tenant != self.tenant {
            return Err(format!("replayed, it is another: {tenant:?}\n{:?}", self.tenant));
        }
        let text = serde_json::to_string(&tenant).map_err(|error| error.to_string())?;
        let back: Tenant = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if back == tenant { Ok(()) } else { Err("stored, it is another".to_owned()) }
    }

    /// What happened, one event a line.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        for (number, entry) in self.log.iter().enumerate() {
            let Entry { event, actor, phase, now, outcome, changed, .. } = entry;
            let came = match outcome {
                Ok(_) if !changed => "nothing".to_owned(),
                Ok(next) => next.as_str().to_owned(),
                Err(refusal) => format!("refused, {:?}", refusal.code),
            };
            let (who, role, from) = (&actor.name, actor.role.as_str(), phase.as_str());
            writeln!(lines, "{number:4} {now} {from}: {who} ({role}) {event:?} → {came}")
                .expect("text");
        }
        lines
    }
}

impl Entry {
    pub(super) const fn event(&self) -> &Event {
        &self.event
    }

    pub(super) const fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) const fn outcome(&self) -> Result<Phase, Code> {
        match &self.outcome {
            Ok(phase) => Ok(*phase),
            Err(refusal) => Err(refusal.code),
        }
    }
}

/// Total: what is not done is refused with a code and a sentence, and never by a fault of ours.
fn is_proper(refusal: &Refusal) -> Verdict {
    if refusal.code == Code::Invariant || refusal.sentence.is_empty() {
        return Err(format!("refused improperly: {refusal}"));
    }
    Ok(())
}

/// What says that it changed nothing has changed nothing.
fn is_still(told: &oracle::Told<'_>) -> Verdict {
    let oracle::Told { before, after, effects, .. } = told;
    let same =
        effects.is_empty() && **before == Tenant { wake_at: before.wake_at, ..(*after).clone() };
    if same { Ok(()) } else { Err("it changes what it does not say".to_owned()) }
}

/// Idempotent: the same event again changes nothing. Only who asks for a notice to be sent again
/// has it sent again.
fn twice(after: &Tenant, event: &Event, actor: &Actor, context: &Context<'_>) -> Verdict {
    if matches!(event, Event::RetryConfiguration) {
        return Ok(());
    }
    match apply(after, event, actor, context) {
        Ok(again) if again.changed => Err(format!("twice, it changes {:?}", again.tenant)),
        Ok(_) => Ok(()),
        Err(refusal) => is_proper(&refusal),
    }
}

/// Progress: who sleeps until the next wake-up misses nothing, and does not wake in vain.
fn sleeps(tenant: &Tenant, context: &Context<'_>) -> Verdict {
    let tick = |at: Timestamp| {
        let real_now = context.real_now.plus_ms(at.ms_since(context.now));
        let later = Context { now: at, real_now, ..*context };
        apply(tenant, &Event::Tick, &Actor::controller(), &later)
            .map_err(|refusal| format!("a tick is refused: {refusal}"))
    };
    let until = tenant.wake_at.map_or(context.now.plus_ms(FAR_MS), |at| at.plus_ms(-1));
    // Whether there is room by then is not the tenant's to know.
    if until > context.now && tenant.phase != Phase::Approved && tick(until)?.changed {
        return Err(format!("by {until} something is due before it wakes: {:?}", tenant.wake_at));
    }
    let Some(at) = tenant.wake_at else { return Ok(()) };
    let at = at.max(context.now);
    let woken = tick(at)?;
    let again = woken.tenant.wake_at;
    if woken.changed || again.is_none_or(|again| again > at) {
        return Ok(());
    }
    Err(format!("it wakes in vain at {at}, and again at {again:?}"))
}
