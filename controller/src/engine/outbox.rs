//! What customers are told: notices are leased to the senders, and each try is recorded. A delivery
//! that discharges a duty is signed as a statement in the same transaction.

use tenure_protocol::{
    channel::Grade,
    evidence::{
        dsse,
        predicate::{
            Kind, Notification, Predicate,
            notification::{NoticeOutcome, NoticeTry},
        },
        statement::Statement,
    },
    id::{NoticeId, TenantId},
    time::Timestamp,
};

use super::{
    Engine, EngineError,
    act::{Beside, TRIES},
};
use crate::{
    core::{
        draw::Draw,
        joint::Part,
        lifecycle::{Acknowledged, Actor, Context, Event},
        notice::{Notice, NoticeKind, NoticeState, Outcome, Try},
        tenant::Tenant,
    },
    store::{self, NewEvidence, NoticeRow, Tx},
};

/// A sender has a notice for itself for this long, ms.
const LEASE_MS: i64 = 20_000;

/// Longest answer of a peer in a statement, characters.
const ANSWER_LIMIT: usize = 500;

impl Engine {
    /// Notices to be tried now, leased to the caller for 20 s.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn due_notices(&self, now: Timestamp) -> Result<Vec<NoticeRow>, EngineError> {
        let mut tx = self.inner.store.write().await?;
        let notices = store::lease_notices(&mut tx, now, now.plus_ms(LEASE_MS)).await?;
        store::commit(tx).await?;
        Ok(notices)
    }

    /// When a notice is due next; real clock.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn next_notice_at(&self) -> Result<Option<Timestamp>, EngineError> {
        Ok(store::next_notice_at(&mut *self.inner.store.read().await?).await?)
    }

    /// Records a try, and what it means for the tenant. `fence` is that of the lease under which it
    /// was made: if the notice was leased or recorded since, the try stands beside what is newer,
    /// and moves nothing of it but by a delivery.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Conflict`], [`EngineError::Store`].
    pub async fn notice_tried(
        &self,
        id: NoticeId,
        fence: u64,
        attempt: Try,
    ) -> Result<(), EngineError> {
        self.tried(id, Some(fence), attempt).await
    }

    /// A host has tried a notice of a cut that was void by then: what corrects it goes out, once;
    /// also if the try failed, since a letter whose acceptance was not heard may have been taken.
    async fn correct(&self, tx: &mut Tx, tried: &Notice) -> Result<(), EngineError> {
        let now = self.inner.clock.now();
        if let Some(mut held) = store::correction_of(tx, tried.id).await? {
            let is_held = matches!(held.notice.state, NoticeState::Void { .. });
            if is_held && held.notice.joint.is_none() && held.notice.tries.is_empty() {
                held.notice.state = NoticeState::Due { since: now, next_at: now };
                store::save_notice(tx, &held).await?;
            }
            return Ok(());
        }
        let id = NoticeId::from_uuid(Draw::new(self.inner.chance.draw()?, now).uuid());
        if let Some(correction) = tried.correction_of_void(id, (&self.inner.letters, now)) {
            store::add_correction(tx, tried.id, &correction).await?;
        }
        Ok(())
    }

    /// As [`Engine::notice_tried`]; without a fence for a host, which never has a lease.
    pub(super) async fn tried(
        &self,
        id: NoticeId,
        fence: Option<u64>,
        attempt: Try,
    ) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let mut tx = self.inner.store.write().await?;
            let row = store::notice(&mut tx, id).await?;
            let mut row = row.ok_or(EngineError::NotFound("notice"))?;
            if let Some(by) = &attempt.by
                && row.notice.knows(by)
            {
                return Ok(());
            }
            let holds = fence == Some(row.fence);
            let (before, parts) = (row.notice.state.clone(), row.notice.parts());
            let for_all = parts.iter().all(|part| attempt.counts_for(part.cut));
            let delivered = if holds {
                row.leased_until = None;
                row.notice.record(attempt.clone())
            } else {
                row.notice.record_beside(attempt.clone())
            };
            let Some(grade) = delivered else {
                if !store::save_notice(&mut tx, &row).await? {
                    continue;
                }
                if attempt.by.is_some() && matches!(before, NoticeState::Void { .. }) {
                    self.correct(&mut tx, &row.notice).await?;
                }
                store::commit(tx).await?;
                self.inner.notices_wake.send_modify(|count| *count = count.wrapping_add(1));
                return Ok(());
            };
            let kind = row.notice.kind.as_str();
            tracing::info!(notice = %id, kind, ?grade, "notice delivered");
            if row.notice.joint.is_some() {
                drop(tx);
                if !for_all {
                    // The customer may know nothing of the others: it is tried on.
                    row.notice.state = before;
                }
                match self.arrived_jointly(&row, (grade, &attempt)).await {
                    Err(EngineError::Conflict) => continue,
                    end => return end,
                }
            }
            let Some(tenant) = row.notice.tenant else {
                // About the platform: nobody's duty is discharged by it.
                if !store::save_notice(&mut tx, &row).await? {
                    continue;
                }
                return Ok(store::commit(tx).await?);
            };
            drop(tx);
            let envelope = self.notification(&self.tenant(tenant).await?, &row.notice)?;
            let beside =
                Beside { evidence: vec![envelope], notice: Some(row), ..Beside::default() };
            let event = Event::NoticeDelivered { notice: id, grade, at: attempt.at };
            match self.act_beside(&Actor::controller(), tenant, &event, &beside).await {
                // Recorded by somebody else meanwhile: with what it is now.
                Err(EngineError::Conflict) => {}
                end => return end.map(drop),
            }
        }
        Err(EngineError::Conflict)
    }

    /// The signed account of a notice and its tries.
    pub(super) fn notification(
        &self,
        tenant: &Tenant,
        notice: &Notice,
    ) -> Result<NewEvidence, EngineError> {
        let due_at = match notice.kind {
            NoticeKind::Cut | NoticeKind::CutCorrection => {
                let cut = tenant.cuts.iter().find(|cut| notice.is_about(cut.id));
                cut.and_then(|cut| tenant.notify_by(cut))
            }
            NoticeKind::Handover
            | NoticeKind::CutAnnounced
            | NoticeKind::CutCalledOff
            | NoticeKind::CutReminder
            | NoticeKind::Restored
            | NoticeKind::TrialExpired
            | NoticeKind::ConfirmationMissing
            | NoticeKind::SecondNotice
            | NoticeKind::RulesEnded
            | NoticeKind::Inspection
            | NoticeKind::Probe
            | NoticeKind::ContactsChanged
            | NoticeKind::Closed
            | NoticeKind::Reminder
            | NoticeKind::ProviderReminder
            | NoticeKind::HostAlarm
            | NoticeKind::DutyAlarm => None,
        };
        let part = notice.parts().iter().find(|part| part.tenant == tenant.id);
        let designated = part.is_none_or(|part| part.designated);
        let predicate = Notification {
            tenant: tenant.id,
            notice: notice.id,
            subject: notice.kind.as_str().to_owned(),
            channel: notice.channel.as_str().to_owned(),
            contact: self.salted(&notice.contact),
            due_at,
            tries: notice.tries.iter().map(|attempt| told(attempt, designated, part)).collect(),
        };
        self.signed(predicate)
    }

    /// The signed account of a person's acknowledgement.
    pub(super) fn acknowledgement(
        &self,
        tenant: TenantId,
        acknowledged: &Acknowledged,
    ) -> Result<NewEvidence, EngineError> {
        let Acknowledged { notice, kind, due_at, given } = acknowledged;
        let (channel, answer) = match &given.words {
            Some(words) => ("spoken", words.as_str()),
            None => ("account", "the customer came in and acknowledged it"),
        };
        self.signed(Notification {
            tenant,
            notice: *notice,
            subject: kind.as_str().to_owned(),
            channel: channel.to_owned(),
            contact: self.salted(&given.person),
            due_at: *due_at,
            tries: vec![NoticeTry {
                at: given.at,
                outcome: NoticeOutcome::Acknowledged,
                answer: answer.chars().take(ANSWER_LIMIT).collect(),
                host: None,
            }],
        })
    }

    fn signed(&self, predicate: Notification) -> Result<NewEvidence, EngineError> {
        let statement = Statement::new(Predicate::Notification(predicate));
        let key = &self.inner.keys.attestation;
        let envelope = dsse::sign_statement(&statement, key)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        Ok(NewEvidence {
            kind: Kind::Notification.name(),
            host: None,
            keyid: self.attestation_key().id(),
            order: None,
            envelope,
        })
    }
}

/// A try as it is told of; what a joint notice's channel took proves less to a tenant whose
/// contacts did not designate it, or whose cut the host that says so does not watch over.
fn told(attempt: &Try, designated: bool, part: Option<&Part>) -> NoticeTry {
    let counts = designated && part.is_none_or(|part| attempt.counts_for(part.cut));
    NoticeTry {
        at: attempt.at,
        host: attempt.by.as_ref().map(|by| by.host),
        outcome: match attempt.outcome {
            Outcome::Accepted { grade: Grade::E3 } => NoticeOutcome::Acknowledged,
            Outcome::Accepted { grade } if grade.discharges() && counts => NoticeOutcome::Delivered,
            Outcome::Accepted { .. } => NoticeOutcome::Accepted,
            Outcome::Failed => NoticeOutcome::Deferred,
        },
        answer: attempt.evidence.chars().take(ANSWER_LIMIT).collect(),
    }
}

/// Ends the tries of a notice that is not delivered.
pub(super) async fn stop(tx: &mut Tx, id: NoticeId, reason: &str) -> Result<(), EngineError> {
    if let Some(mut row) = store::notice(tx, id).await?
        && row.notice.next_at().is_some()
    {
        row.notice.state = NoticeState::Void { reason: reason.to_owned() };
        store::save_notice(tx, &row).await?;
    }
    Ok(())
}

/// A notice that is armed and that nobody is trying, without the lease that may have run out.
pub(super) async fn untouched(
    tx: &mut Tx,
    id: NoticeId,
    context: &Context<'_>,
) -> Result<Option<NoticeRow>, EngineError> {
    Ok(store::notice(tx, id).await?.and_then(|row| free(row, context)))
}

/// As [`untouched`], of one that was read already.
pub(super) fn free(row: NoticeRow, context: &Context<'_>) -> Option<NoticeRow> {
    let leased = row.leased_until.is_some_and(|until| until > context.real_now);
    let free = row.notice.is_untouched() && !leased;
    free.then_some(NoticeRow { leased_until: None, ..row })
}
