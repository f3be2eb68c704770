//! Contacts that the customer replaced. Whoever takes over an account of the customer could have
//! the notices of a cut go elsewhere at once: so those before are told of cuts as well for a while,
//! and who replaced them.
//!
//! Their acceptance proves no arrival (E2): the customer has given their systems up, perhaps
//! because nobody reads there any more, and the provider must not rest on that. Nor does an
//! acknowledgement keep their notices from going out, since it may be by the same account.

use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use super::{Contact, Tenant};
use crate::core::letter;

/// For so many days those before are told of cuts as well.
pub const FORMER_DAYS: i64 = 7;

/// Most that are kept; those that were replaced first stay.
pub const MAX_FORMER: usize = 64;

/// A contact that the customer replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// It, with those of its channels that its successors do not have.
    pub contact: Contact,
    /// Who replaced it.
    pub by: String,
    /// When; legal time.
    pub at: Timestamp,
}

impl Former {
    fn is_told(&self, now: Timestamp) -> bool {
        now.ms_since(self.at) < FORMER_DAYS * 86_400_000
    }
}

impl Tenant {
    /// Replaces the contacts; those before are kept beside. Gives them.
    pub fn replace_contacts(
        &mut self,
        contacts: &[Contact],
        by: &str,
        now: Timestamp,
    ) -> Vec<Contact> {
        let before = std::mem::replace(&mut self.application.contacts, contacts.to_vec());
        self.forget_former(now);
        for contact in &before {
            let known: Vec<_> = self.former.iter().map(|former| former.contact.clone()).collect();
            let gone = replaced(contact, contacts).and_then(|gone| gone.gone_from(&known));
            if let Some(contact) = gone.filter(|_| known.len() < MAX_FORMER) {
                self.former.push(Former { contact, by: by.to_owned(), at: now });
            }
        }
        before
    }

    /// Drops those who are told no more.
    pub fn forget_former(&mut self, now: Timestamp) {
        self.former.retain(|former| former.is_told(now));
    }

    /// The contacts from before that are told of cuts now, as far as those of now are not reached
    /// in the same way.
    #[must_use]
    pub fn former_contacts(&self, now: Timestamp) -> Vec<Former> {
        let told = self.former.iter().filter(|former| former.is_told(now));
        let gone = told.filter_map(|former| {
            let contact = replaced(&former.contact, &self.application.contacts)?;
            Some(Former { contact, ..former.clone() })
        });
        gone.collect()
    }
}

/// The contact with the channels that its successors may not have. Secrets are sealed differently
/// each time, so that nobody can tell here whether a webhook has the same, or where a bot leads.
fn replaced(contact: &Contact, others: &[Contact]) -> Option<Contact> {
    if others.contains(contact) {
        return None;
    }
    let bare = Contact { email: None, mobile: None, ..contact.clone() };
    let Contact { webhook, bot, .. } = contact.clone();
    let gone = Contact { webhook, bot, ..contact.gone_from(others).unwrap_or(bare) };
    let is_reached = letter::channels(&gone).next().is_some();
    is_reached.then_some(gone)
}
