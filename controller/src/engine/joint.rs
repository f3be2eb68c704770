//! Joint notices in the database: what is known of one system is said in the one that is armed, or
//! in a correction; a delivery counts for every tenant in it, in one transaction.

use tenure_protocol::{
    channel::{Channel, Grade},
    digest::Digest,
    id::NoticeId,
};
use zeroize::Zeroizing;

use super::{Engine, EngineError, act::Followed, outbox::free};
use crate::{
    core::{
        lifecycle::{Context, Event},
        notice::{Notice, NoticeState, Try},
        tenant::Tenant,
    },
    store::{self, NoticeRow, Tx},
};

impl Engine {
    /// Tells channels apart by where they lead, secrets and all; one that cannot be opened is like
    /// no other, so that its notice stands alone.
    pub(super) fn address(&self, channel: &Channel) -> Digest {
        let open = self.opened_channel(channel.clone()).unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a channel stays sealed");
            channel.clone()
        });
        let text = Zeroizing::new(serde_json::to_vec(&open).unwrap_or_default());
        Digest::of(&text)
    }

    /// A joint notice arrived: recorded, and what follows from it for each of its tenants for whose
    /// cut this counts.
    /// [`EngineError::Conflict`] if somebody else recorded it meanwhile.
    pub(super) async fn arrived_jointly(
        &self,
        row: &NoticeRow,
        (grade, attempt): (Grade, &Try),
    ) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        if !store::save_notice(&mut tx, row).await? {
            return Err(EngineError::Conflict);
        }
        let mut all: Vec<Followed> = Vec::new();
        for part in row.notice.parts().iter().filter(|part| attempt.counts_for(part.cut)) {
            let before = store::tenant(&mut tx, part.tenant).await?;
            let before = before.ok_or(EngineError::NotFound("tenant"))?;
            let grade = part.grade(grade);
            let notice = row.notice.known_as();
            let event = Event::NoticeDelivered { notice, grade, at: attempt.at };
            let followed = self.follow(&mut tx, &before, event).await?;
            let evidence = self.notification(followed.tenant(), &row.notice)?;
            self.add_new_evidence(&mut tx, followed.tenant(), &evidence).await?;
            all.push(followed);
        }
        store::commit(tx).await?;
        self.after_all(all).await;
        Ok(())
    }
}

/// Says in a joint notice what is known now of a tenant. `next` is what would be sent besides if it
/// had this notice for itself: its id and kind are those of a new correction. Says whether anything
/// is to be sent.
pub(super) async fn say(
    tx: &mut Tx,
    row: NoticeRow,
    tenant: &Tenant,
    next: &Notice,
    context: &Context<'_>,
) -> Result<bool, EngineError> {
    let Some(part) = row.notice.part_now(tenant) else { return Ok(false) };
    let (letters, now) = (context.letters, context.real_now);
    let original = row.notice.clone();
    if let Some(mut row) = free(row, context) {
        row.notice.say(part, letters, now);
        store::save_notice(tx, &row).await?;
        return Ok(row.notice.next_at().is_some());
    }
    let last = store::correction_of(tx, original.id).await?;
    if let Some(mut row) = last.and_then(|last| free(last, context)) {
        row.notice.say(part, letters, now);
        store::save_joint(tx, &row).await?;
    } else if let Some(correction) = original.correction(next.id, next.kind, part, (letters, now)) {
        store::add_correction(tx, original.id, &correction).await?;
    }
    Ok(true)
}

/// A tenant needs a joint notice no more, nor what corrects it: once nobody does, it ends.
pub(super) async fn stop(
    tx: &mut Tx,
    row: NoticeRow,
    tenant: &Tenant,
    reason: &str,
) -> Result<(), EngineError> {
    let correction = store::correction_of(tx, row.notice.id).await?;
    for mut row in [Some(row), correction].into_iter().flatten() {
        if row.notice.know_for(tenant.id) && row.notice.next_at().is_some() {
            row.notice.state = NoticeState::Void { reason: reason.to_owned() };
        }
        store::save_notice(tx, &row).await?;
    }
    Ok(())
}

/// The one of this id if it is a joint notice.
pub(super) async fn find(tx: &mut Tx, id: NoticeId) -> Result<Option<NoticeRow>, EngineError> {
    Ok(store::notice(tx, id).await?.filter(|row| row.notice.joint.is_some()))
}
