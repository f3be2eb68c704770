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

use super::{Engine, EngineError, act::Beside};
use crate::{
    core::{
        lifecycle::{Acknowledged, Actor, Context, Event},
        notice::{Notice, NoticeKind, NoticeState, Outcome, Try},
    },
    store::{self, NewEvidence, Tx},
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
    pub async fn due_notices(&self, now: Timestamp) -> Result<Vec<Notice>, EngineError> {
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

    /// Records a try, and what it means for the tenant.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn notice_tried(&self, id: NoticeId, attempt: Try) -> Result<(), EngineError> {
        let at = attempt.at;
        let mut tx = self.inner.store.write().await?;
        let row = store::notice(&mut tx, id).await?.ok_or(EngineError::NotFound("notice"))?;
        let mut notice = row.notice;
        let Some(grade) = notice.record(attempt) else {
            store::save_notice(&mut tx, &notice).await?;
            store::commit(tx).await?;
            self.inner.notices_wake.send_modify(|count| *count = count.wrapping_add(1));
            return Ok(());
        };
        drop(tx);
        tracing::info!(notice = %id, kind = notice.kind.as_str(), ?grade, "notice delivered");
        let envelope = self.notification(&notice).await?;
        let beside = Beside {
            order: None,
            evidence: vec![envelope],
            notice: Some(notice.clone()),
            ..Beside::default()
        };
        let event = Event::NoticeDelivered { notice: id, grade, at };
        self.act_beside(&Actor::controller(), notice.tenant, &event, &beside).await?;
        Ok(())
    }

    /// The signed account of a notice and its tries.
    async fn notification(&self, notice: &Notice) -> Result<NewEvidence, EngineError> {
        let due_at = match notice.kind {
            NoticeKind::Cut | NoticeKind::CutCorrection => {
                let tenant = self.tenant(notice.tenant).await?;
                let cut = tenant.cuts.iter().find(|cut| Some(cut.id) == notice.cut);
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
            | NoticeKind::Inspection
            | NoticeKind::Closed
            | NoticeKind::Reminder
            | NoticeKind::ProviderReminder
            | NoticeKind::DutyAlarm => None,
        };
        let predicate = Notification {
            tenant: notice.tenant,
            notice: notice.id,
            subject: notice.kind.as_str().to_owned(),
            channel: notice.channel.as_str().to_owned(),
            contact: self.salted(&notice.contact),
            due_at,
            tries: notice.tries.iter().map(told).collect(),
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

fn told(attempt: &Try) -> NoticeTry {
    NoticeTry {
        at: attempt.at,
        outcome: match attempt.outcome {
            Outcome::Accepted { grade: Grade::E3 } => NoticeOutcome::Acknowledged,
            Outcome::Accepted { grade } if grade.discharges() => NoticeOutcome::Delivered,
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
        store::save_notice(tx, &row.notice).await?;
    }
    Ok(())
}

/// Whether a notice is armed, and nobody tries it.
pub(super) async fn is_untouched(
    tx: &mut Tx,
    id: NoticeId,
    context: &Context<'_>,
) -> Result<bool, EngineError> {
    let row = store::notice(tx, id).await?;
    Ok(row.is_some_and(|row| {
        let leased = row.leased_until.is_some_and(|until| until > context.real_now);
        row.notice.is_untouched() && !leased
    }))
}
