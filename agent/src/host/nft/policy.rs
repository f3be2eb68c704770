//! The policy table: changed by its elements or replaced whole, read back, compared with what was
//! rendered.
//!
//! ```text
//!   text ─► an empty network namespace ─► nft lists it: what it must be
//!     └───► the host, one transaction  ─► nft lists it: what it is     ─► the same?
//! ```
//!
//! Where a policy of ours is in force, only the elements that differ are put there and taken away:
//! the kernel commits one transaction at a time, and a cut would wait for a whole policy. What must
//! be listed then is what was, without those that go and with those that come; only these are put
//! into the empty namespace.
//!
//! What a text must look like once it is in the kernel, only nft and the kernel can say, each
//! version in its own words. So the text is put into a network namespace that holds nothing else
//! and lives for that moment, and the two listings are compared. The kernel counts its rule sets
//! (GETGEN): while that number stands, nothing has changed, and nothing is listed.

use netlink_packet_netfilter::{NetfilterMessage, nftables::TableFlags};
use netlink_sys::protocols::NETLINK_NETFILTER;
use tenure_protocol::{digest::Digest, wire::v1::Culprit};

use super::{
    BRIDGE, Channel, NftFailure,
    monitor::Changes,
    namespace,
    structure::{self, Elements, Listing},
    table::{generation, table},
    text,
};
use crate::core::ruleset::{self, Change, POLICY_TABLE};

/// How often a table is put in place while somebody else changes it at the same time.
const TRIES: u32 = 3;
/// How often a table is listed while rule sets change under it.
const LISTINGS: u32 = 8;

/// The policy table, and what this process put there.
#[derive(Debug)]
pub struct PolicyTable {
    kernel: Channel<NetfilterMessage>,
    wanted: Option<Wanted>,
    /// Generation in which the table was last seen to be as it must be.
    good: Option<u32>,
    /// Who changes tables of ours.
    changes: Changes,
}

#[derive(Debug)]
struct Wanted {
    text: String,
    digest: Digest,
    listing: Listing,
}

/// Somebody else changed the policy table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Altered {
    /// What differs, as a sentence.
    pub what: String,
    /// Who did it, if the kernel told.
    pub culprit: Option<Culprit>,
}

impl PolicyTable {
    /// Nothing is known of the table before the first [`Self::replace`].
    ///
    /// # Errors
    /// [`NftFailure::Kernel`].
    pub fn open(changes: Changes) -> Result<Self, NftFailure> {
        let kernel = Channel::open(NETLINK_NETFILTER)
            .map_err(|source| NftFailure::Kernel { operation: "watch the policy table", source })?;
        changes.socket(kernel.port());
        Ok(Self { kernel, wanted: None, good: None, changes })
    }

    /// Puts a text of [`crate::core::ruleset::policy`] in force, and sees that it is: by its
    /// elements that differ from those that are in force, else whole, in one transaction. Cuts may
    /// be committed meanwhile.
    ///
    /// # Errors
    /// [`NftFailure::Text`] or [`NftFailure::Namespace`]: the old policy stays in force, or the new
    /// one with lists for which no tap asks. [`NftFailure::Altered`]: somebody else changes the
    /// table again and again.
    pub fn replace(&mut self, policy: &str) -> Result<(), NftFailure> {
        if self.good.is_some()
            && let Some(old) = &self.wanted
            && let Some(Change { steps, gone, come }) = ruleset::change(&old.text, policy)
        {
            let (gone, come) = (in_an_empty_namespace(&gone)?, in_an_empty_namespace(&come)?);
            let listing = old.listing.changed(&gone, &come);
            self.want(policy, listing);
            if self.adjust(&steps)? {
                return Ok(());
            }
        }
        let listing = in_an_empty_namespace(policy)?;
        self.want(policy, listing);
        self.put()
    }

    fn want(&mut self, policy: &str, listing: Listing) {
        let digest = Digest::of(policy.as_bytes());
        self.good = None;
        self.wanted = Some(Wanted { text: policy.to_owned(), digest, listing });
    }

    /// Whether the steps of a change made what is wanted of the table.
    fn adjust(&mut self, steps: &[String]) -> Result<bool, NftFailure> {
        let Some(wanted) = &self.wanted else { return Ok(false) };
        for step in steps {
            match text("change the policy table", step) {
                Ok(pid) => self.changes.ours(pid),
                // For instance, somebody else changed the table a moment ago: what goes is gone.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the policy's elements cannot be changed: all of it is");
                    return Ok(false);
                }
            }
        }
        let (what, seen) = differs(&mut self.kernel, &wanted.listing)?;
        if let Some(what) = what {
            tracing::warn!(what, "the policy is not as its change made it: all of it is replaced");
            return Ok(false);
        }
        self.good = Some(seen);
        Ok(true)
    }

    /// Puts what is wanted in force again.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn repair(&mut self) -> Result<(), NftFailure> {
        self.put()
    }

    /// What differs from what was put there; nothing if that is in force, or if nothing was put
    /// there yet. Lists the table only if the kernel's generation is another.
    ///
    /// # Errors
    /// [`NftFailure`]: the table could not be looked at.
    pub fn check(&mut self) -> Result<Option<Altered>, NftFailure> {
        let Some(wanted) = &self.wanted else { return Ok(None) };
        let now = generation(&mut self.kernel)?;
        if self.good == Some(now) {
            return Ok(None);
        }
        let since = self.good;
        self.good = None;
        let (what, seen) = differs(&mut self.kernel, &wanted.listing)?;
        match what {
            None => {
                self.good = Some(seen);
                Ok(None)
            }
            Some(what) => {
                let culprit = self.changes.culprit(POLICY_TABLE, since, seen);
                Ok(Some(Altered { what, culprit }))
            }
        }
    }

    /// Digest of the text that is in force, as [`Self::check`] found it.
    #[must_use]
    pub fn in_force(&self) -> Option<Digest> {
        let wanted = self.wanted.as_ref()?;
        self.good.map(|_| wanted.digest)
    }

    fn put(&mut self) -> Result<(), NftFailure> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        let mut last = String::new();
        for attempt in 0..TRIES {
            // What an older build left in the table, no replacement in place takes away.
            let anew = format!(
                "add table bridge {POLICY_TABLE}\ndelete table bridge {POLICY_TABLE}\n{}",
                wanted.text
            );
            let policy = if attempt == 0 { &wanted.text } else { &anew };
            self.changes.ours(text("replace the policy table", policy)?);
            let (what, seen) = differs(&mut self.kernel, &wanted.listing)?;
            match what {
                None => {
                    self.good = Some(seen);
                    return Ok(());
                }
                Some(what) => last = what,
            }
        }
        Err(NftFailure::Altered { table: POLICY_TABLE, what: last })
    }
}

/// What differs, and in which generation that was seen.
fn differs(
    kernel: &mut Channel<NetfilterMessage>,
    wanted: &Listing,
) -> Result<(Option<String>, u32), NftFailure> {
    let mut last = (None, generation(kernel)?);
    for _ in 0..LISTINGS {
        let before = last.1;
        let what = match table(kernel, BRIDGE, POLICY_TABLE)? {
            None => Some("the table is gone".to_owned()),
            Some(found) if found.flags.contains(TableFlags::Dormant) => {
                Some("the table is dormant".to_owned())
            }
            Some(_) => match structure::list(POLICY_TABLE, Elements::Compared) {
                Ok(listing) => wanted.difference(&listing),
                // It went meanwhile, or it is back: looked at once more.
                Err(failure) if generation(kernel)? == before => return Err(failure),
                Err(_) => Some("the table comes and goes".to_owned()),
            },
        };
        // What nft lists is of one generation: none is older than the one before.
        if what.is_none() {
            return Ok((None, before));
        }
        last = (what, generation(kernel)?);
        if last.1 == before {
            break;
        }
    }
    // Whatever changed since is another generation, and is looked at with that.
    Ok(last)
}

/// What a text looks like in the kernel.
fn in_an_empty_namespace(policy: &str) -> Result<Listing, NftFailure> {
    namespace::empty(|| {
        text("try the policy table", policy)?;
        structure::list(POLICY_TABLE, Elements::Compared)
    })
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
