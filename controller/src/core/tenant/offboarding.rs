//! The way off the platform (clauses 6.1 and 6.2), until nothing runs any more.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{id::NoticeId, time::Timestamp};

use super::Phase;
use crate::core::lifecycle::Document;

/// The way off the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offboarding {
    /// The phase that it was asked for in: a rejection leads back there.
    pub from: Phase,
    /// Day of the application.
    pub applied_on: Date,
    /// The earliest stop day that clause 6.1 allows for that day of application.
    pub lawful_day: Date,
    /// The planned stop day: nothing is stopped before it begins.
    pub stop_day: Date,
    /// The customer's reason.
    pub reason: String,
    /// Who waived the period of clause 6.1, of two persons; counts once both have.
    pub waivers: Vec<Waiver>,
    /// When the customer confirmed migration and backup; legal time.
    pub confirmed_at: Option<Timestamp>,
    /// How the customer was reminded that it has not.
    pub chase: Chase,
    /// When every instance had stopped; legal time.
    pub stopped_at: Option<Timestamp>,
}

impl Offboarding {
    /// Whether two persons have waived the period of clause 6.1.
    #[must_use]
    pub const fn is_waived(&self) -> bool {
        self.waivers.len() >= 2
    }

    /// Whether it asks for a stop day earlier than the standard allows.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.stop_day < self.lawful_day
    }
}

/// One person's waiver of the period of clause 6.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When; legal time.
    pub at: Timestamp,
}

/// How a customer that does not confirm is reminded: twice, and then its grace runs.
///
/// ```text
/// None ─stop day─▶ First ─some Work days─▶ Second ─delivered over a channel───────▶ served
///                                            └─recorded─▶ claimed ─countersigned─▶ served
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "chase", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "a tenant has one")]
pub enum Chase {
    /// Not yet.
    #[default]
    None,
    /// The first notice went out, at the stop day.
    First {
        /// When; legal time.
        at: Timestamp,
    },
    /// The second notice went out.
    Second {
        /// When; legal time.
        at: Timestamp,
        /// Its notices.
        notices: Vec<NoticeId>,
        /// A person's record of another way, which waits for a second person: it counts for nothing
        /// until then.
        claimed: Option<OtherDelivery>,
        /// How it reached the customer: the grace counts from then.
        served: Option<Served>,
    },
}

/// How the second notice reached the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The legal day: day 0 of the grace.
    pub on: Date,
    /// Two persons' record of another way, such as a registered letter; nothing if it was delivered
    /// over a channel.
    pub record: Option<OtherDelivery>,
}

/// Two persons' record that the second notice was served otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherDelivery {
    /// Who recorded it.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
    /// The day on which it reached the customer, as the proof has it.
    pub served_on: Date,
    /// The proof.
    pub document: Document,
    /// The second person, once there is one.
    pub countersigned_by: Option<String>,
}
