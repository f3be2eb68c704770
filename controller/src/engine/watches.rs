//! What hosts are told, and tell, of the cuts that they watch over. A packet is put together when
//! it is sent, from the notices as they stand, and is kept nowhere here.
//!
//! A host's word that a notice arrived counts if the host watches over that very cut, and of a
//! joint notice for those of its cuts alone that it watches over: it comes in a session that its
//! certificate authenticates, and the statement that is signed of it names the host. A host that
//! lies can end a notice so, in its own name, once the controller was silent for
//! half of the time after which hosts speak, and not sooner: until then the controller's own tries
//! go on. It is not believed that a person acknowledged anything.

use tenure_protocol::{
    channel::Grade,
    id::{CutId, HostId, NoticeId},
    wire::watch::{
        Disarm, SignedDisarm, SignedPacket, WatchReceipt, WatchReport, WatchSaid, WatchTry,
    },
};

use super::{Engine, EngineError, platform, standing};
use crate::{
    core::{
        notice::{ByHost, Notice, NoticeKind, Outcome, Try},
        tenant::Cut,
        watch::{self, Standing, WatchState},
    },
    store::{self, WatchRow, row::HostRecord},
};

/// Longest word of a host that is kept, characters.
const WORD_LIMIT: usize = 500;

/// How far a host's clock may be ahead before its word on a time is not taken, ms.
const AHEAD_MS: i64 = 5_000;

/// Failed tries of hosts that are kept with one notice; of further ones nothing is kept.
const TRIES_KEPT: usize = 64;

/// What a host is told of a cut that it watches over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchWord {
    /// Keep this.
    Packet(SignedPacket),
    /// Destroy it.
    Disarm(SignedDisarm),
}

impl Engine {
    /// The watches of a host of which it has something to be told.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn watches_to_tell(&self, host: HostId) -> Result<Vec<WatchRow>, EngineError> {
        let rows = store::watches_to_tell(&mut *self.inner.store.read().await?, host).await?;
        Ok(standing::in_turn(rows))
    }

    /// What the host is to be told of this watch.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the cut is not the tenant's, [`EngineError::Store`].
    pub async fn watch_word(&self, row: &WatchRow) -> Result<WatchWord, EngineError> {
        let key = &self.inner.keys.order;
        let invalid = |error: tenure_protocol::wire::watch::SaidError| {
            EngineError::Invalid(error.to_string())
        };
        if row.state == WatchState::Disarmed {
            let disarm = Disarm { cut: row.cut, host: row.host, reason: row.reason };
            return Ok(WatchWord::Disarm(SignedDisarm::sign(&disarm, key).map_err(invalid)?));
        }
        let mut conn = self.inner.store.read().await?;
        let tenant = store::tenant(&mut conn, row.tenant).await?;
        let tenant = tenant.ok_or(EngineError::NotFound("tenant"))?;
        if row.standing == Standing::Waits {
            return Ok(WatchWord::Packet(self.standing_word(&tenant, row)?));
        }
        let cut = tenant.cuts.iter().find(|cut| cut.id == row.cut);
        let cut = cut.ok_or(EngineError::NotFound("cut"))?;
        let notices = notices_of(&mut conn, cut).await?;
        drop(conn);
        let notices = self.opened_notices(notices);
        let (watching, now) = (&self.inner.watching, self.inner.clock.now());
        let packet = watch::packet(&tenant, cut, row.host, row.ordered_at, &notices, watching, now);
        Ok(WatchWord::Packet(SignedPacket::sign(&packet, key).map_err(invalid)?))
    }

    /// Takes in what a host says of its watch; durable when it returns. `host` is from the
    /// certificate. What comes again changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the host does not watch over this cut;
    /// [`EngineError::Blocked`]; [`EngineError::Invalid`] if the notice is not the cut's.
    pub async fn watch_reported(
        &self,
        host: HostId,
        report: WatchReport,
    ) -> Result<WatchReceipt, EngineError> {
        let WatchReport { cut, sequence, said } = report;
        let mut conn = self.inner.store.read().await?;
        let record = platform::admitted(&mut conn, host).await?;
        let row = store::watch(&mut conn, cut, host).await?;
        let row = row.ok_or(EngineError::NotFound("watch of this host"))?;
        drop(conn);
        match said {
            WatchSaid::Kept => self.note_watch(cut, host, WatchState::Kept, None).await?,
            WatchSaid::NotKept { code, message } => {
                let words = clip(&format!("{code}: {message}"));
                let standing = row.standing == Standing::Waits;
                tracing::error!(%host, %cut, tenant = %row.tenant, standing, words,
                    "a host cannot keep a cut's notices");
                self.note_watch(cut, host, WatchState::Lost, Some(words)).await?;
            }
            WatchSaid::Ended => self.note_watch(cut, host, WatchState::Over, None).await?,
            WatchSaid::Tried(tried) => self.host_tried(&record, &row, sequence, tried).await?,
        }
        Ok(WatchReceipt { cut, sequence })
    }

    async fn note_watch(
        &self,
        cut: CutId,
        host: HostId,
        next: WatchState,
        message: Option<String>,
    ) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        let row = store::watch(&mut tx, cut, host).await?;
        let row = row.ok_or(EngineError::NotFound("watch of this host"))?;
        let (now, waits) = (row.state, row.standing == Standing::Waits);
        let follows = match next {
            WatchState::Kept => matches!(now, WatchState::Open | WatchState::Lost),
            WatchState::Lost => now == WatchState::Open || (waits && now == WatchState::Kept),
            WatchState::Over => now != WatchState::Over,
            WatchState::Open | WatchState::Disarmed => false,
        };
        if follows {
            store::save_watch(&mut tx, (cut, host), next, message.as_deref()).await?;
            store::commit(tx).await?;
            // The next standing packet has its turn.
            if waits {
                self.wake_hosts(&[host]);
            }
        }
        Ok(())
    }

    /// A host has tried a notice itself: recorded as a try of the notice, and what follows from it.
    async fn host_tried(
        &self,
        host: &HostRecord,
        row: &WatchRow,
        sequence: u64,
        tried: WatchTry,
    ) -> Result<(), EngineError> {
        let Some(notice) = self.notice_of(row, tried.notice).await? else { return Ok(()) };
        if !notice.is_about(row.counts) || notice.kind != NoticeKind::Cut {
            let sentence = "this notice is not of the cut that the host watches over";
            return Err(EngineError::Invalid(sentence.to_owned()));
        }
        let by_hosts = notice.tries.iter().filter(|one| one.by.is_some()).count();
        if tried.grade.is_none() && by_hosts >= TRIES_KEPT {
            return Ok(());
        }
        let now = self.inner.clock.now();
        // A host speaks once the controller was silent for so long, and its clock is not ours.
        let silent_ms = i64::try_from(self.inner.watching.fallback_after_ms).unwrap_or(i64::MAX);
        if tried.at.min(now) < row.ordered_at.plus_ms(silent_ms / 2) {
            let sentence = "a host tries no notice before the controller was silent for its time";
            return Err(EngineError::Invalid(sentence.to_owned()));
        }
        let mut evidence = clip(&tried.evidence);
        let mut at = tried.at;
        if at > now.plus_ms(AHEAD_MS) {
            // A clock that cannot be right proves nothing: what is certain is that it is told now.
            evidence.push_str(&format!(" (the host's clock said {at})"));
            at = now;
        }
        // No machine hears a person.
        let grade = tried.grade.map(|grade| grade.min(Grade::E2));
        let outcome = grade.map_or(Outcome::Failed, |grade| Outcome::Accepted { grade });
        tracing::warn!(host = %host.id, name = host.name, cut = %row.cut, notice = %notice.id,
            ?outcome, evidence, "a host tried a notice while the controller was silent");
        let cuts = self.watched(host.id, row, &notice).await?;
        let several = notice.joint.is_some() || row.counts != row.cut;
        let cut = several.then_some(row.cut);
        let by = ByHost { host: host.id, name: host.name.clone(), sequence, cut, cuts };
        let attempt = Try { at, outcome, evidence, by: Some(by) };
        self.tried(notice.id, None, attempt).await
    }

    /// The cuts in a joint notice that the host watches over; none of another notice.
    async fn watched(
        &self,
        host: HostId,
        row: &WatchRow,
        notice: &Notice,
    ) -> Result<Vec<CutId>, EngineError> {
        let mut conn = self.inner.store.read().await?;
        let mut cuts = Vec::new();
        for part in notice.parts() {
            let own = part.cut == row.counts;
            if own || store::watch(&mut conn, part.cut, host).await?.is_some() {
                cuts.push(part.cut);
            }
        }
        Ok(cuts)
    }

    /// The notice that a host means. Of a standing packet nothing is known before its cut is; after
    /// that it may name an address that the customer has no more, which counts for nothing.
    async fn notice_of(&self, row: &WatchRow, id: NoticeId) -> Result<Option<Notice>, EngineError> {
        let mut conn = self.inner.store.read().await?;
        if row.standing == Standing::No {
            let known = store::notice(&mut conn, id).await?;
            return Ok(Some(known.ok_or(EngineError::NotFound("notice"))?.notice));
        }
        let tenant = store::tenant(&mut conn, row.tenant).await?;
        let tenant = tenant.ok_or(EngineError::NotFound("tenant"))?;
        let cut = tenant.cuts.iter().find(|cut| cut.id == row.counts);
        let cut = cut.filter(|_| row.standing == Standing::Used);
        let cut = cut.ok_or(EngineError::NotFound("cut of this watch yet"))?;
        let meant = standing::meant(row, &notices_of(&mut conn, cut).await?, id);
        if meant.is_none() {
            tracing::warn!(host = %row.host, cut = %row.cut, notice = %id,
                "a host told somebody who is no contact of the customer any more");
        }
        Ok(meant)
    }
}

async fn notices_of(
    conn: &mut sqlx::SqliteConnection,
    cut: &Cut,
) -> Result<Vec<Notice>, EngineError> {
    let mut notices = Vec::new();
    for id in cut.notices.iter().chain(&cut.former) {
        notices.extend(store::notice(conn, *id).await?.map(|row| row.notice));
    }
    Ok(notices)
}

fn clip(text: &str) -> String {
    text.chars().take(WORD_LIMIT).collect()
}
