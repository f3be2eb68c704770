//! The calendar in force: the shipped notices, and those that two persons put in force. A new one
//! counts the open deadlines of every tenant anew, one event each; what a crash leaves undone the
//! next tick does.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use jiff::civil::Date;
use serde_json::json;
use sqlx::SqliteConnection;
use tenure_protocol::id::TenantId;
use uuid::Uuid;

use super::{Call, Engine, EngineError, Expected, hosts::need};
use crate::{
    core::{
        admission,
        calendar::{
            Calendar, CalendarNotice, NoticeError,
            import::{self, Draft},
            legal_day,
        },
        draw::Draw,
        lifecycle::{Actor, Event, Role, recount},
        refusal::{Code, Refusal},
    },
    store::{self, row::CalendarRecord},
};

/// Name of the number of notices by which all deadlines are counted, among the settings.
const COUNTED: &str = "calendar_counted";
/// Proposals that may wait at the same time.
const MAX_PROPOSALS: usize = 32;
/// Proposals of one person that may wait at the same time.
const MAX_PROPOSALS_EACH: usize = 4;
/// How often a recount of a tenant that others change meanwhile is tried.
const TRIES: u32 = 4;
/// Who may propose a notice, and who may put it in force.
const ROLES: [Role; 2] = [Role::Reviewer, Role::Administrator];

/// The calendar that was put together last, and by how many notices of the database.
pub(super) type Known = Option<(i64, Arc<Calendar>)>;

impl From<NoticeError> for EngineError {
    fn from(error: NoticeError) -> Self {
        Refusal::new(Code::InvalidNotice, error.0).into()
    }
}

impl Engine {
    /// The calendar in force.
    ///
    /// # Errors
    /// [`EngineError::Store`]; [`EngineError::Invalid`] if a notice that was put in force
    /// contradicts a shipped one.
    pub async fn calendar(&self) -> Result<Arc<Calendar>, EngineError> {
        self.calendar_in(&mut *self.inner.store.read().await?).await
    }

    pub(super) async fn calendar_in(
        &self,
        conn: &mut SqliteConnection,
    ) -> Result<Arc<Calendar>, EngineError> {
        let enacted = store::calendar_enacted(conn).await?;
        {
            let known = self.inner.calendar.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, calendar)) = known.as_ref().filter(|(count, _)| *count == enacted) {
                return Ok(calendar.clone());
            }
        }
        let mut calendar = Calendar::shipped()?;
        for record in store::calendar_notices(conn).await? {
            if record.enacted.is_some() && !is_shipped(&calendar, &record.notice)? {
                calendar.add(record.notice)?;
            }
        }
        let calendar = Arc::new(calendar);
        let mut known = self.inner.calendar.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((enacted, calendar.clone()));
        Ok(calendar)
    }

    /// The notices that persons entered: those in force first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn calendar_records(&self) -> Result<Vec<CalendarRecord>, EngineError> {
        Ok(store::calendar_notices(&mut *self.inner.store.read().await?).await?)
    }

    /// Reads a notice and keeps it as a proposal: it changes nothing yet.
    ///
    /// # Errors
    /// [`EngineError::Refused`]: `wrong-role`, `invalid-notice`; those of keys.
    pub async fn propose_notice(
        &self,
        call: impl Into<Call>,
        draft: Draft,
    ) -> Result<CalendarRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        need(&by, &ROLES, "proposing a notice of the calendar")?;
        let mut tx = self.inner.store.write().await?;
        if let Some(record) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(record);
        }
        let calendar = self.calendar_in(&mut tx).await?;
        let notice = import::read(&draft, &calendar)?;
        let waiting = store::calendar_notices(&mut tx).await?;
        let waiting: Vec<_> = waiting.iter().filter(|known| known.enacted.is_none()).collect();
        if waiting.iter().any(|known| known.notice == notice) {
            let sentence = "the same notice is proposed already: put that one in force";
            return Err(Refusal::new(Code::InvalidNotice, sentence).into());
        }
        let own = waiting.iter().filter(|known| known.proposed_by == by.name).count();
        if own >= MAX_PROPOSALS_EACH || waiting.len() >= MAX_PROPOSALS {
            let sentence = "too many proposals wait: have one put in force by another person, or \
                            reject one";
            return Err(Refusal::new(Code::InvalidNotice, sentence).into());
        }
        let now = self.inner.clock.now();
        let record = CalendarRecord {
            id: Draw::new(self.inner.chance.draw()?, now).uuid(),
            notice,
            proposed_by: by.name.clone(),
            proposed_at: now,
            enacted: None,
        };
        store::add_calendar_notice(&mut tx, &record).await?;
        self.note_act(&mut tx, "calendar-notice-proposed", None, &by, told(&record)).await?;
        self.keep(&mut tx, key.as_ref(), Some(&record)).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::info!(notice = record.notice.name(), by = record.proposed_by, id = %record.id,
            "a notice of the calendar is proposed");
        Ok(record)
    }

    /// Puts a proposal in force, by another person than the one who proposed it, and counts the
    /// open deadlines anew.
    ///
    /// # Errors
    /// [`EngineError::Refused`]: `wrong-role`, `separation-of-duties`, `notice-in-force`,
    /// `invalid-notice`; [`EngineError::NotFound`]; those of keys.
    pub async fn enact_notice(
        &self,
        call: impl Into<Call>,
        id: Uuid,
    ) -> Result<CalendarRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        need(&by, &ROLES, "putting a notice of the calendar in force")?;
        let mut tx = self.inner.store.write().await?;
        if let Some(record) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(record);
        }
        let mut record = proposal(&mut tx, id).await?;
        if record.proposed_by == by.name {
            let sentence = format!("{} proposed it: another person puts it in force", by.name);
            return Err(Refusal::new(Code::SeparationOfDuties, sentence).into());
        }
        record.notice.check(&*self.calendar_in(&mut tx).await?)?;
        record.enacted = Some((by.name.clone(), self.inner.clock.now()));
        store::enact_calendar_notice(&mut tx, &record).await?;
        self.note_act(&mut tx, "calendar-notice-enacted", None, &by, told(&record)).await?;
        self.keep(&mut tx, key.as_ref(), Some(&record)).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::info!(
            notice = record.notice.name(),
            proposed_by = record.proposed_by,
            "a notice of the calendar is in force"
        );
        // The notice is in force whatever happens now; the next tick goes on.
        if let Err(error) = self.count_anew().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "deadlines are not all counted by the new notice yet");
        }
        Ok(record)
    }

    /// Takes a proposal back, or rejects another person's: it changes nothing any more, and stands
    /// in the journal alone.
    ///
    /// # Errors
    /// [`EngineError::Refused`]: `wrong-role`, `notice-in-force`, `invalid-input`;
    /// [`EngineError::NotFound`]; those of keys.
    pub async fn reject_notice(
        &self,
        call: impl Into<Call>,
        id: Uuid,
        reason: String,
    ) -> Result<CalendarRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        need(&by, &ROLES, "rejecting a notice of the calendar")?;
        admission::reason(&reason)?;
        let mut tx = self.inner.store.write().await?;
        if let Some(record) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(record);
        }
        let record = proposal(&mut tx, id).await?;
        store::drop_calendar_notice(&mut tx, id).await?;
        let mut body = told(&record);
        body["reason"] = reason.into();
        self.note_act(&mut tx, "calendar-notice-rejected", None, &by, body).await?;
        self.keep(&mut tx, key.as_ref(), Some(&record)).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::info!(
            notice = record.notice.name(),
            by = by.name,
            "a notice of the calendar is rejected"
        );
        Ok(record)
    }

    /// Counts every open deadline by the calendar in force, if that did not happen yet.
    ///
    /// # Errors
    /// [`EngineError`]; what is not done yet the next call does.
    pub(super) async fn count_anew(&self) -> Result<(), EngineError> {
        let mut conn = self.inner.store.read().await?;
        let calendar = self.calendar_in(&mut conn).await?;
        let notices = calendar.notices().len().to_string();
        let counted = store::meta(&mut conn, COUNTED).await?;
        if counted.as_ref() == Some(&notices) {
            return Ok(());
        }
        let records = store::calendar_notices(&mut conn).await?;
        drop(conn);
        let (notice, reason) = why(&calendar, &records);
        let (mut last, mut failed) = (None, None);
        loop {
            let tenants = store::tenant_ids(&mut *self.inner.store.read().await?, last).await?;
            if tenants.is_empty() {
                break;
            }
            for tenant in &tenants {
                // One tenant that cannot be counted must not hold up the others.
                if let Err(error) = self.count_tenant_anew(*tenant, &notice, &reason).await {
                    failed = Some(error);
                }
            }
            last = tenants.last().copied();
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let mut tx = self.inner.store.write().await?;
        store::set_meta(&mut tx, COUNTED, &notices).await?;
        Ok(store::commit(tx).await?)
    }

    async fn count_tenant_anew(
        &self,
        id: TenantId,
        notice: &str,
        reason: &str,
    ) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let (tenant, calendar) = (self.tenant(id).await?, self.calendar().await?);
            let now = self.inner.clock.legal(self.inner.clock.now());
            let changes = recount::changes(&tenant, &calendar, now);
            if changes.is_empty() {
                return Ok(());
            }
            let (notice, reason) = (notice.to_owned(), reason.to_owned());
            let event = Event::Recount { notice, reason, changes };
            let expected = Expected::OneOf(vec![tenant.version]);
            let call = Call { actor: Actor::controller(), expected, key: None };
            match self.act(call, id, event).await {
                Err(EngineError::Version(_)) => {}
                done => return done.map(drop),
            }
        }
        Err(EngineError::Conflict)
    }

    /// Says in the log that a notice is overdue.
    pub(super) async fn warn_of_calendar(&self, today: Date) -> Result<(), EngineError> {
        if let Some(year) = self.calendar().await?.overdue(today) {
            tracing::warn!(
                year,
                "the State Council's notice for this year is not entered: deadlines that reach it \
                 are provisional; `tenurectl calendar import`, then another person enacts it"
            );
        }
        Ok(())
    }

    pub(super) fn legal_today(&self) -> Date {
        legal_day(self.inner.clock.legal(self.inner.clock.now()))
    }
}

/// A notice that waits for a second person.
async fn proposal(conn: &mut SqliteConnection, id: Uuid) -> Result<CalendarRecord, EngineError> {
    let found = store::calendar_notice(conn, id).await?;
    let record = found.ok_or(EngineError::NotFound("notice"))?;
    if record.enacted.is_some() {
        let sentence = "this notice is in force already";
        return Err(Refusal::new(Code::NoticeInForce, sentence).into());
    }
    Ok(record)
}

/// What the platform's journal, and by its digest the ledger, keeps of a notice.
fn told(record: &CalendarRecord) -> serde_json::Value {
    let CalendarRecord { id, notice, proposed_by, .. } = record;
    json!({
        "id": id, "notice": notice.name(), "year": notice.year, "amends": notice.amends,
        "rest": notice.rest, "work": notice.work, "sha256": notice.digest(),
        "proposed_by": proposed_by,
    })
}

/// Whether this build carries a notice that persons entered before. Two for one year that give
/// other days cannot both hold.
fn is_shipped(shipped: &Calendar, entered: &CalendarNotice) -> Result<bool, EngineError> {
    let same =
        |known: &&CalendarNotice| known.year == entered.year && known.amends == entered.amends;
    let days = |notice: &CalendarNotice| -> (BTreeSet<Date>, BTreeSet<Date>) {
        (notice.rest.clone(), notice.work.clone())
    };
    let mut known = shipped.notices().iter().filter(same);
    if known.clone().any(|known| days(known) == days(entered)) {
        return Ok(true);
    }
    if entered.amends || known.next().is_none() {
        return Ok(false);
    }
    Err(EngineError::Invalid(format!(
        "the notice for {} that was entered ({}) gives other days than the one of this build: one \
         of them is wrong; do not run this build before that is cleared up",
        entered.year,
        entered.name()
    )))
}

/// Which notice counts deadlines anew, and by whom it came.
fn why(calendar: &Calendar, records: &[CalendarRecord]) -> (String, String) {
    let last = calendar.notices().last();
    let name = last.map_or_else(|| "-".to_owned(), |notice| notice.name().to_owned());
    let entered = records.iter().rfind(|record| Some(&record.notice) == last);
    let reason = entered.and_then(|record| {
        let (by, _) = record.enacted.as_ref()?;
        Some(format!("proposed by {}, put in force by {by}", record.proposed_by))
    });
    (name, reason.unwrap_or_else(|| "shipped with this build".to_owned()))
}
