//! The platform's yearly assessments: what is owed of them is derived by `core::yearly`; what was
//! said of it is entered among the platform's acts, each reminder and each miss once.

use jiff::civil::Date;
use serde_json::json;
use sqlx::SqliteConnection;

use super::{Engine, EngineError};
use crate::{
    core::{
        calendar::legal_day,
        lifecycle::Actor,
        record::{Content, Kind},
        yearly::{self, Done, Owed},
    },
    store,
};

/// Name of the platform's first day among the settings.
const BEGUN: &str = "begun_on";
/// What was said last of an assessment is kept by this among the settings, before its name.
const TOLD: &str = "assessment_told:";

/// Keeps the platform's first day, once.
pub(super) async fn begin(conn: &mut SqliteConnection, today: Date) -> Result<(), EngineError> {
    if store::meta(conn, BEGUN).await?.is_none() {
        store::set_meta(conn, BEGUN, &today.to_string()).await?;
    }
    Ok(())
}

impl Engine {
    /// What is owed of each yearly assessment now.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn assessments_owed(&self) -> Result<Vec<Owed>, EngineError> {
        let calendar = self.calendar().await?;
        let mut conn = self.inner.store.read().await?;
        let begun = store::meta(&mut conn, BEGUN).await?.and_then(|day| day.parse().ok());
        let records = store::platform_records(&mut conn, Kind::PlatformAssessment).await?;
        drop(conn);
        let done: Vec<Done> = records
            .iter()
            .filter(|record| record.counts())
            .filter_map(|record| {
                let Content::PlatformAssessment { assessment, .. } = record.content else {
                    return None;
                };
                Some(Done { assessment, day: legal_day(record.effective_at) })
            })
            .collect();
        let begun = begun.unwrap_or_else(|| self.legal_today());
        let now = self.inner.clock.legal(self.inner.clock.now());
        Ok(yearly::owed(begun, &done, now, &self.inner.rules, &calendar))
    }

    /// Enters the reminders and misses that have come and were not entered yet.
    pub(super) async fn tell_of_assessments(&self, today: Date) -> Result<(), EngineError> {
        for owed in self.assessments_owed().await? {
            let (what, since) = (owed.assessment.as_str(), owed.obligation.counted.day_zero);
            let last_day = owed.obligation.due.last_day();
            let (kind, word) = if owed.is_missed() {
                ("assessment-missed", "missed".to_owned())
            } else if let Some(rung) = owed.rung(today, &self.inner.rules) {
                ("assessment-due", rung.to_string())
            } else {
                continue;
            };
            let (name, word) = (format!("{TOLD}{what}"), format!("{since}/{word}"));
            let mut tx = self.inner.store.write().await?;
            if store::meta(&mut tx, &name).await?.is_some_and(|told| told == word) {
                continue;
            }
            let body = json!({"assessment": what, "last": owed.last, "last_day": last_day});
            self.note_act(&mut tx, kind, None, &Actor::controller(), body).await?;
            store::set_meta(&mut tx, &name, &word).await?;
            store::commit(tx).await?;
            self.drain_or_log().await;
            if owed.is_alarming(today, &self.inner.rules) {
                let missed = owed.is_missed();
                tracing::error!(
                    what,
                    ?last_day,
                    missed,
                    "ALARM: a yearly assessment of the platform was missed, or will be soon; have \
                     it made, and record it: `tenurectl record add --help`"
                );
            } else {
                tracing::warn!(what, ?last_day, "a yearly assessment of the platform is due");
            }
        }
        Ok(())
    }
}
