//! What a transition means, written down in its own transaction: the journal's row, orders,
//! notices, watches over cuts, evidence.

use std::collections::BTreeSet;

use serde_json::Value;
use tenure_protocol::{
    digest::Digest,
    id::{HostId, NoticeId},
};

use super::{
    Engine, EngineError,
    act::Beside,
    joint,
    outbox::{stop, untouched},
};
use crate::{
    core::{
        fleet::Fleet,
        lifecycle::{Actor, Context, Effect, Event, Transition},
        notice::{Notice, NoticeState},
        tenant::{Contact, Tenant},
    },
    store::{self, NewEntry, NewEvidence, NoticeRow, Tx},
};

/// Whom to wake after a commit.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    pub(super) hosts: Vec<HostId>,
    pub(super) notices: bool,
    pub(super) exit: bool,
}

impl Engine {
    /// Journal row, orders and notices of a transition.
    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        event: &Event,
        transition: &Transition,
        context: &Context<'_>,
    ) -> Result<Wakes, EngineError> {
        let entry = NewEntry {
            tenant: transition.tenant.id,
            kind: event.name(),
            at: context.now,
            actor,
            actor_keyid: self.keyid_of(actor),
            body: body(event, &transition.tenant),
            phase: transition.tenant.phase,
            shown: transition.tenant.submitted_at.is_some(),
            object: transition.object,
            salt: self.inner.chance.draw()?,
        };
        store::append_journal(tx, entry).await?;
        let mut wakes = Wakes::default();
        for effect in &transition.effects {
            match effect {
                Effect::Order(draft) => {
                    self.add_order(tx, &transition.tenant, draft, context).await?;
                    wakes.hosts.push(draft.host);
                }
                Effect::Arm(notice) => {
                    store::add_notice(tx, notice).await?;
                    wakes.notices = true;
                }
                Effect::Release { notice, correction } => {
                    release(tx, &transition.tenant, (notice, correction), context).await?;
                    wakes.notices = true;
                }
                Effect::Void { notice, reason, correction } => {
                    let tenant = &transition.tenant;
                    wakes.notices |=
                        void(tx, tenant, (*notice, reason, correction), context).await?;
                }
                Effect::Watch { host, cut } => {
                    let tenant = transition.tenant.id;
                    store::add_watch(tx, (*cut, *host, tenant), context.real_now).await?;
                    wakes.hosts.push(*host);
                }
                Effect::Disarm { cut, reason } => {
                    wakes.hosts.extend(store::disarm_watches(tx, *cut, *reason).await?);
                }
                Effect::Stop { notices, reason } => {
                    for id in notices {
                        match joint::find(tx, *id).await? {
                            Some(row) => {
                                joint::stop(tx, row, &transition.tenant, reason).await?;
                            }
                            None => stop(tx, *id, reason).await?,
                        }
                    }
                }
                Effect::Acknowledge(acknowledged) => {
                    let new = self.acknowledgement(transition.tenant.id, acknowledged)?;
                    self.add_evidence(tx, &transition.tenant, &new, context).await?;
                }
                Effect::Exit => wakes.exit = true,
            }
        }
        Ok(wakes)
    }

    pub(super) async fn record_beside(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        beside: &Beside,
        context: &Context<'_>,
    ) -> Result<(), EngineError> {
        if let Some(order) = &beside.order {
            store::save_order(tx, order).await?;
        }
        if let Some(row) = &beside.notice
            && !store::save_notice(tx, row).await?
        {
            return Err(EngineError::Conflict);
        }
        for new in &beside.evidence {
            self.add_evidence(tx, tenant, new, context).await?;
        }
        if let Some(made) = beside.of_host {
            Box::pin(self.use_up(tx, tenant, made)).await?;
        }
        Ok(())
    }

    /// As [`Engine::add_evidence`], where nothing else needs a context.
    pub(super) async fn add_new_evidence(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        new: &NewEvidence,
    ) -> Result<(), EngineError> {
        let (fleet, filed) = (Fleet::default(), BTreeSet::new());
        let calendar = self.calendar_in(tx).await?;
        let context = self.context(&fleet, &calendar, &filed)?;
        self.add_evidence(tx, tenant, new, &context).await
    }

    /// Keeps an envelope, once.
    async fn add_evidence(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        new: &NewEvidence,
        context: &Context<'_>,
    ) -> Result<(), EngineError> {
        let digest = Digest::of(&new.envelope);
        if store::evidence(tx, digest).await?.is_some() {
            return Ok(());
        }
        let actor = Actor::controller();
        let entry = NewEntry {
            tenant: tenant.id,
            kind: new.kind,
            at: context.now,
            actor: &actor,
            actor_keyid: new.keyid,
            body: serde_json::json!({"host": new.host, "order": new.order}),
            phase: tenant.phase,
            shown: tenant.submitted_at.is_some(),
            object: Some(digest),
            salt: self.inner.chance.draw()?,
        };
        let seq = store::append_journal(tx, entry).await?;
        Ok(store::add_evidence(tx, tenant.id, seq, context.real_now, new).await?)
    }
}

/// An armed notice goes out with its new text; where the old one went out, what corrects it does.
async fn release(
    tx: &mut Tx,
    tenant: &Tenant,
    (notice, correction): (&Notice, &Notice),
    context: &Context<'_>,
) -> Result<(), EngineError> {
    if let Some(row) = joint::find(tx, notice.id).await? {
        joint::say(tx, row, tenant, correction, context).await?;
    } else if let Some(row) = untouched(tx, notice.id, context).await? {
        store::save_notice(tx, &NoticeRow { notice: notice.clone(), ..row }).await?;
    } else {
        store::add_notice(tx, correction).await?;
    }
    Ok(())
}

/// An armed notice never goes out; where it did, what corrects it does. Says whether anything is to
/// be sent.
async fn void(
    tx: &mut Tx,
    tenant: &Tenant,
    (notice, reason, correction): (NoticeId, &str, &Notice),
    context: &Context<'_>,
) -> Result<bool, EngineError> {
    if let Some(row) = joint::find(tx, notice).await? {
        return joint::say(tx, row, tenant, correction, context).await;
    }
    let Some(mut row) = untouched(tx, notice, context).await? else {
        store::add_notice(tx, correction).await?;
        return Ok(true);
    };
    row.notice.state = NoticeState::Void { reason: reason.to_owned() };
    store::save_notice(tx, &row).await?;
    // A host that has not heard of it may send the notice all the same: then this one goes out.
    let reason = "what it corrects was not sent".to_owned();
    let held = Notice { state: NoticeState::Void { reason }, ..correction.clone() };
    store::add_correction(tx, notice, &held).await?;
    Ok(false)
}

/// The event as the journal has it: without the contacts' secrets, and without what a draft said
/// before it was submitted.
fn body(event: &Event, after: &Tenant) -> Value {
    let value = match event {
        Event::Submit { application } => {
            serde_json::to_value(Event::Submit { application: application.without_secrets() })
        }
        Event::SaveDraft { application: _ } => Ok(serde_json::json!({"event": event.name()})),
        Event::SubmitDraft => {
            let application = after.application.without_secrets();
            Ok(serde_json::json!({"event": event.name(), "application": application}))
        }
        Event::SetContacts { contacts } => {
            let contacts = contacts.iter().map(Contact::without_secrets).collect();
            serde_json::to_value(Event::SetContacts { contacts })
        }
        other => serde_json::to_value(other),
    };
    value.unwrap_or(Value::Null)
}
