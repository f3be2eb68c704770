//! The kernel's packet filter: the cut table, kept by one netlink socket, and the policy table,
//! changed and replaced through nft.
//!
//! ```text
//!              open                        the agent ends, however
//!   absent ──────────► owned, persistent ◄────────────────────────► orphaned: still in force,
//!                      (nobody else can        open: adopted        but anybody may edit it
//!                       edit or flush it)
//! ```
//!
//! The table is made in three steps. Its flags come first, by netlink, since nft before 1.1 cannot
//! write them; then its contents, by nft; then this process's socket takes it over. Kernels before
//! 6.9 cannot keep an owned table after its owner's end: there the table is left unowned, and
//! [`Protection::Unowned`] says so.

mod arp;
mod connections;
mod message;
mod monitor;
mod namespace;
mod policy;
mod proof;
mod raw;
mod seal;
mod structure;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_netfilter::{NetfilterMessage, NetfilterProtoFamily, nftables::TableFlags};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;
use tenure_protocol::{
    digest::Digest,
    wire::v1::{CommitInterval, Culprit, Mark},
};

use super::{
    netlink::{Channel, NetlinkFailure},
    process::{self, ProcessFailure},
};
use crate::{
    clock,
    core::ruleset::{self, CUT_SET, CUT_TABLE, PORT_MAP, TapName},
};
pub use connections::ConnectionCounters;
use message::Key;
pub use monitor::{Changes, Monitor};
pub use policy::{Altered, PolicyTable};
pub use proof::Ways;
pub use seal::probe_seal;
use structure::{Elements, Listing};
use table::{Found, generation, table};

/// The family of the cut table.
const BRIDGE: NetfilterProtoFamily = NetfilterProtoFamily::Bridge;

/// What went wrong with the packet filter.
#[derive(Debug, thiserror::Error)]
pub enum NftFailure {
    /// No nft.
    #[error("nft is not installed: install the package nftables")]
    Missing(#[source] ProcessFailure),
    /// nft refused the probe.
    #[error(
        "nft or the kernel lacks what the packet filter needs (nftables 1.0.6 and Linux 5.14 or \
         later, with tables of family bridge)"
    )]
    Unsupported(#[source] ProcessFailure),
    /// nft refused a text or could not be run.
    #[error("cannot {operation}")]
    Text {
        /// What the text was for.
        operation: &'static str,
        /// nft's answer.
        #[source]
        source: ProcessFailure,
    },
    /// The kernel refused a change or a question.
    #[error("cannot {operation}")]
    Kernel {
        /// What was asked.
        operation: &'static str,
        /// The kernel's answer.
        #[source]
        source: NetlinkFailure,
    },
    /// Another living process owns a table of ours.
    #[error(
        "the table {table} belongs to another process (netlink port {port}): another agent runs \
         here, end it first"
    )]
    Owned {
        /// Its name.
        table: String,
        /// The owner's netlink port, as a rule its process id.
        port: u32,
    },
    /// The answer is not what such a table can hold.
    #[error("the packet filter cannot be read back: {0}")]
    Unreadable(String),
    /// Somebody changed a table of ours.
    #[error(
        "the table bridge {table} is not as the agent made it: {what}; the agent makes it anew at \
         its next tick"
    )]
    Altered {
        /// Which.
        table: &'static str,
        /// What differs.
        what: String,
    },
    /// No network namespace to try a text in.
    #[error(
        "cannot make an empty network namespace to try the policy in: run tenure-hostd as root"
    )]
    Namespace(#[source] std::io::Error),
}

/// How well the cut table is kept from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// The kernel refuses everybody else's edits, and keeps the table after this process's end.
    Owned,
    /// `nft flush ruleset` would end all cuts.
    Unowned {
        /// Why, and what to do, as a sentence.
        reason: String,
    },
}

/// What [`CutTable::mend`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// Nothing: all is as it was made.
    Intact,
    /// The table was made anew. Enlist all taps and cut again what is to be cut: its elements may
    /// be gone.
    Anew {
        /// What was wrong.
        what: String,
        /// Who did it, if the kernel told.
        culprit: Option<Culprit>,
    },
}

/// What the cut table holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CutState {
    /// Marks of the tenants that are cut.
    pub cut: BTreeSet<Mark>,
    /// Taps and the tenants that they belong to.
    pub ports: BTreeMap<String, Mark>,
}

/// The cut table and the socket that owns it. Dropping it leaves the table in force.
#[derive(Debug)]
pub struct CutTable {
    kernel: Channel<NetfilterMessage>,
    protection: Protection,
    structure: Listing,
    /// Digest of the structure that this build makes; else why that is not known.
    wanted: Result<Digest, String>,
    /// Whether it was not there when it was opened: as after a restart of the host.
    fresh: bool,
    /// Generation in which it was last seen to be as it must be.
    good: Option<u32>,
    changes: Changes,
    /// Whether seals are made so that nobody else can edit them: until the kernel says no.
    seals_are_owned: bool,
}

impl CutTable {
    /// Creates the table, or adopts the one that an earlier process left, with all that is cut.
    ///
    /// # Errors
    /// [`NftFailure::Owned`] if another agent lives; else what nft or the kernel refused.
    pub fn open() -> Result<Self, NftFailure> {
        Self::open_among(Changes::default())
    }

    /// As [`Self::open`], with what a [`Monitor`] reads of others' changes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_among(changes: Changes) -> Result<Self, NftFailure> {
        let mut kernel = Channel::open(NETLINK_NETFILTER).map_err(making)?;
        changes.socket(kernel.port());
        let fresh = table(&mut kernel, BRIDGE, CUT_TABLE)?.is_none();
        let (protection, structure) = prepare(&mut kernel, &changes)?;
        // Proofs alone need it: a cut does not fail by it.
        let wanted = proof::wanted_structure().map_err(|error| error.to_string());
        Ok(Self {
            kernel,
            protection,
            structure,
            wanted,
            fresh,
            good: None,
            changes,
            seals_are_owned: true,
        })
    }

    /// Whether the table was not there when it was opened, and nothing of an earlier process was.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Makes the table anew if it is not as it should be. An owned one, which nobody else can edit,
    /// is looked at by its owner alone; any other is listed if the kernel's rule sets are another
    /// generation than when it was last seen to be good.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn mend(&mut self) -> Result<Mended, NftFailure> {
        let now = generation(&mut self.kernel)?;
        if self.good == Some(now) {
            return Ok(Mended::Intact);
        }
        let since = self.good.take();
        let looked = match self.protection {
            Protection::Owned => self.look(),
            Protection::Unowned { .. } => self.inspect(),
        };
        match looked {
            Ok(()) => {
                self.good = Some(now);
                Ok(Mended::Intact)
            }
            Err(NftFailure::Altered { what, .. }) => {
                (self.protection, self.structure) = prepare(&mut self.kernel, &self.changes)?;
                let culprit = self.changes.culprit(CUT_TABLE, since, now);
                Ok(Mended::Anew { what, culprit })
            }
            Err(failure) => Err(failure),
        }
    }

    /// How well the table is kept from others.
    #[must_use]
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// Cuts a tenant: when it returns, no frame passes from or to any of its taps. Cutting again
    /// changes nothing.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`]; nothing is cut then.
    pub fn cut(&mut self, mark: Mark) -> Result<CommitInterval, NftFailure> {
        self.cut_all(&BTreeSet::from([mark]))
    }

    /// Cuts several tenants in one transaction, as at the agent's start.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`]; none is cut then.
    pub fn cut_all(&mut self, marks: &BTreeSet<Mark>) -> Result<CommitInterval, NftFailure> {
        let keys: Vec<Key> = marks.iter().map(|&mark| Key::Mark(mark)).collect();
        let add = message::add_elements(CUT_SET, &keys);
        self.commit("cut a tenant", add, None)
    }

    /// Says whose a tap is. To be done before the tap is made, so that it inherits a cut at birth.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`].
    pub fn enlist(&mut self, tap: &TapName, mark: Mark) -> Result<(), NftFailure> {
        let key = Key::Port(tap.clone(), mark);
        let add = || message::add_elements(PORT_MAP, std::slice::from_ref(&key));
        match self.commit("enlist a tap", add(), None) {
            Ok(_) => Ok(()),
            // It is there with another mark. A value changes by delete and add in one transaction.
            Err(NftFailure::Kernel { source, .. })
                if is(&source, &[Errno::EBUSY, Errno::EEXIST]) =>
            {
                let mut both = message::delete_element(PORT_MAP, &key);
                both.extend(add());
                self.commit("enlist a tap", both, None).map(|_| ())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Forgets a tap. To be done after the tap is gone.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`].
    pub fn delist(&mut self, tap: &TapName) -> Result<(), NftFailure> {
        let delete = message::delete_element(PORT_MAP, &Key::Port(tap.clone(), Mark(0)));
        self.commit("delist a tap", delete, Some(Errno::ENOENT)).map(|_| ())
    }

    /// Whether the kernel has the mark among those that are cut.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`] or [`NftFailure::Unreadable`].
    pub fn is_cut(&mut self, mark: Mark) -> Result<bool, NftFailure> {
        for element in self.elements(CUT_SET)? {
            if message::mark(&element)? == mark {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the kernel holds now.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`] or [`NftFailure::Unreadable`].
    pub fn read_back(&mut self) -> Result<CutState, NftFailure> {
        let mut state = CutState::default();
        for element in self.elements(CUT_SET)? {
            state.cut.insert(message::mark(&element)?);
        }
        for element in self.elements(PORT_MAP)? {
            let (tap, mark) = message::port(&element)?;
            state.ports.insert(tap, mark);
        }
        Ok(state)
    }

    /// Whether the table is in force with the rules that it was opened with: an element proves
    /// nothing in a table that sleeps or whose rules somebody changed. Runs nft.
    ///
    /// # Errors
    /// [`NftFailure::Altered`] says what is wrong.
    pub fn inspect(&mut self) -> Result<(), NftFailure> {
        self.look()?;
        match self.structure.difference(&structure::list(CUT_TABLE, Elements::Ignored)?) {
            None => Ok(()),
            Some(what) => Err(NftFailure::Altered { table: CUT_TABLE, what }),
        }
    }

    /// Whether the table is there, awake, and whose it should be.
    fn look(&mut self) -> Result<(), NftFailure> {
        let altered =
            |what: &str| Err(NftFailure::Altered { table: CUT_TABLE, what: what.to_owned() });
        let Some(found) = table(&mut self.kernel, BRIDGE, CUT_TABLE)? else {
            return altered("the table is gone");
        };
        if found.flags.contains(TableFlags::Dormant) {
            return altered("the table is dormant");
        }
        if self.protection == Protection::Owned && found.owner != Some(self.kernel.port()) {
            return altered("the table has another owner");
        }
        Ok(())
    }

    fn commit(
        &mut self,
        operation: &'static str,
        changes: message::Batch,
        harmless: Option<Errno>,
    ) -> Result<CommitInterval, NftFailure> {
        let batch = message::transaction(changes);
        let (earliest, started) = (clock::now(), clock::monotonic());
        let answer = self.kernel.request(batch);
        let took = clock::monotonic().saturating_sub(started);
        let latest = clock::now();
        match answer {
            Err(source) if !harmless.is_some_and(|errno| is(&source, &[errno])) => {
                Err(NftFailure::Kernel { operation, source })
            }
            Ok(_) | Err(_) => Ok(CommitInterval {
                earliest,
                latest,
                took_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            }),
        }
    }

    fn elements(&mut self, set: &str) -> Result<Vec<message::Element>, NftFailure> {
        let list = self.kernel.dump(&message::get_elements(set)).map_err(|source| {
            NftFailure::Kernel { operation: "read back the cut table", source }
        })?;
        Ok(message::elements(list))
    }
}

/// The three steps. An unowned table keeps its elements if it is there.
fn prepare(
    kernel: &mut Channel<NetfilterMessage>,
    changes: &Changes,
) -> Result<(Protection, Listing), NftFailure> {
    let before = table(kernel, BRIDGE, CUT_TABLE)?;
    if let Some(Found { owner: Some(port), .. }) = before {
        return Err(NftFailure::Owned { table: CUT_TABLE.to_owned(), port });
    }
    let persistent = TableFlags::Persisent;
    let new_table = |flags| message::transaction(message::new_table(flags));
    let persists = match kernel.request(new_table(persistent)) {
        Ok(_) => true,
        Err(refusal) if lacks(&refusal) => {
            kernel.request(new_table(TableFlags::empty())).map_err(making)?;
            false
        }
        Err(source) => return Err(making(source)),
    };
    changes.ours(text("fill the cut table", &ruleset::cut_table())?);
    let owned = if persists {
        match kernel.request(new_table(persistent | TableFlags::Owner)) {
            Ok(_) => true,
            Err(refusal) if lacks(&refusal) => false,
            Err(source) => return Err(making(source)),
        }
    } else {
        false
    };
    let protection = if owned { Protection::Owned } else { unowned(before.is_some()) };
    Ok((protection, structure::list(CUT_TABLE, Elements::Ignored)?))
}

fn making(source: NetlinkFailure) -> NftFailure {
    NftFailure::Kernel { operation: "make the cut table", source }
}

/// Whether this host can do what is needed: to be called at start. Changes nothing.
///
/// # Errors
/// [`NftFailure::Missing`] or [`NftFailure::Unsupported`].
pub fn probe() -> Result<(), NftFailure> {
    match process::run(&["nft", "-c", "-f", "-"], ruleset::probe().as_bytes(), &[]) {
        Ok(_) => Ok(()),
        Err(source) if source.is_not_installed() => Err(NftFailure::Missing(source)),
        Err(source) => Err(NftFailure::Unsupported(source)),
    }
}

fn text(operation: &'static str, text: &str) -> Result<u32, NftFailure> {
    match process::run(&["nft", "-f", "-"], text.as_bytes(), &[]) {
        Ok(output) => Ok(output.pid),
        Err(source) if source.is_not_installed() => Err(NftFailure::Missing(source)),
        Err(source) => Err(NftFailure::Text { operation, source }),
    }
}

fn unowned(existed: bool) -> Protection {
    let reason = if existed {
        format!(
            "the table bridge {CUT_TABLE} was made without the flag persist: restart the host, or, \
             when no tenant is cut, `nft delete table bridge {CUT_TABLE}` and restart the agent"
        )
    } else {
        "this kernel cannot keep a table that has an owner (Linux 6.9 or later can): whoever runs \
         `nft flush ruleset` here ends all cuts until the agent's next tick"
            .to_owned()
    };
    Protection::Unowned { reason }
}

fn lacks(failure: &NetlinkFailure) -> bool {
    is(failure, &[Errno::EOPNOTSUPP, Errno::EINVAL])
}

fn is(failure: &NetlinkFailure, errnos: &[Errno]) -> bool {
    failure.errno().is_some_and(|number| errnos.contains(&Errno::from_raw(number)))
}
