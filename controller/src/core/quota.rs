//! Quotas: how much one customer may take of what all customers share. The provider's own papers
//! count for nobody.

use serde::Deserialize;

use super::{
    attachment::Held,
    refusal::{Code, Refusal},
};

/// How much one customer may take, for all its tenants together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Bytes of attachments that it has handed in, whatever became of their tenants.
    pub customer_bytes: u64,
    /// How many of them.
    pub customer_files: u64,
    /// Applications that are drafts, wait for an opinion or are to be corrected.
    pub customer_open: u64,
    /// Bytes that stay free on the disk of attachments, which is the database's too.
    pub free_bytes: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            customer_bytes: 32 << 30,
            customer_files: 20_000,
            customer_open: 100,
            free_bytes: 2 << 30,
        }
    }
}

impl Quotas {
    /// Most bytes that the customer may still file.
    #[must_use]
    pub fn room(&self, held: Held) -> u64 {
        self.customer_bytes.saturating_sub(held.bytes)
    }

    /// Whether the customer may file so many bytes more.
    ///
    /// # Errors
    /// `attachments-full`.
    pub fn admit_file(&self, held: Held, bytes: u64) -> Result<(), Refusal> {
        if held.files < self.customer_files && bytes <= self.room(held) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::AttachmentsFull,
            format!(
                "this customer has filed {} attachments with {} bytes for all its tenants, of at \
                 most {} with {} bytes: ask the operators",
                held.files, held.bytes, self.customer_files, self.customer_bytes
            ),
        ))
    }

    /// Whether the customer may begin one more application, with so many that are open.
    ///
    /// # Errors
    /// `too-many-applications`.
    pub fn admit_application(&self, open: u64) -> Result<(), Refusal> {
        if open < self.customer_open {
            return Ok(());
        }
        Err(Refusal::new(
            Code::TooManyApplications,
            format!(
                "this customer has {open} applications that are drafts or have no final opinion, \
                 of at most {}: finish or withdraw one first, or ask the operators",
                self.customer_open
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotas_hold_at_their_edges() {
        let quotas = Quotas {
            customer_bytes: 100,
            customer_files: 3,
            customer_open: 2,
            ..Quotas::default()
        };
        let file = |files, bytes, more| {
            quotas.admit_file(Held { files, bytes }, more).map_err(|refusal| refusal.code)
        };
        assert_eq!(file(2, 90, 10), Ok(()));
        assert_eq!(file(2, 90, 11), Err(Code::AttachmentsFull));
        assert_eq!(file(3, 0, 1), Err(Code::AttachmentsFull));
        assert_eq!(file(0, 0, u64::MAX), Err(Code::AttachmentsFull));
        assert_eq!(quotas.admit_application(1), Ok(()));
        let refused = quotas.admit_application(2).map_err(|refusal| refusal.code);
        assert_eq!(refused, Err(Code::TooManyApplications));
    }
}
