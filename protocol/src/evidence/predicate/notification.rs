//! `notification`: one notice to one contact, and what became of each try.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    id::{HostId, NoticeId, TenantId},
    time::Timestamp,
};

/// The attestation of a notice. Signed by the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notification {
    /// About whom.
    pub tenant: TenantId,
    /// Which notice.
    pub notice: NoticeId,
    /// What it is about: a stable name, kebab-case.
    pub subject: String,
    /// The channel, such as `mail` or `webhook`; of an acknowledgement `spoken`, if somebody of the
    /// provider heard it, or `account`, if the customer came in and gave it.
    pub channel: String,
    /// Salted digest of the contact: evidence names no persons.
    pub contact: Digest,
    /// When it had to be there, if a rule says so.
    pub due_at: Option<Timestamp>,
    /// The tries, in their order.
    pub tries: Vec<NoticeTry>,
}

/// One try to deliver a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoticeTry {
    /// When, by the clock of whoever tried.
    pub at: Timestamp,
    /// The host that tried, while the controller was silent; left out if the controller did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// What came of it.
    pub outcome: NoticeOutcome,
    /// What the other side answered, shortened, without names of persons.
    pub answer: String,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeOutcome {
    /// The next server took it over: not proof that anybody has it.
    Accepted,
    /// The receiving system has confirmed it.
    Delivered,
    /// To be tried again.
    Deferred,
    /// Refused for good.
    Refused,
    /// A person of the customer has acknowledged it.
    Acknowledged,
}

impl Notification {
    pub(super) fn dishonesty(&self) -> Option<String> {
        let in_order = self.tries.is_sorted_by_key(|attempt| attempt.at);
        if self.tries.is_empty() {
            Some("it has no try to deliver the notice".to_owned())
        } else {
            (!in_order).then(|| "its tries are not in the order of their times".to_owned())
        }
    }
}
