//! The kernel's side of [`core::seal`](crate::core::seal): a cut tenant's table, family netdev.
//!
//! ```text
//!             seal                       seal: chains of taps come and go
//!   absent ─────────► owned, persistent ◄──┐
//!      ▲                │    │    ▲        │
//!      │ restore, or    │    │    └────────┘
//!      │ no tap left    │    │ the agent ends, however
//!      └────────────────┤    ▼
//!                       └─ orphaned: still in force ─► seal: made anew, in one transaction
//! ```
//!
//! Built by netlink, on the socket that owns it: nft cannot touch an owned table, and a restore
//! removes it in the very transaction that takes the tenant out of the cut table. On Linux 6.16 and
//! later a chain's device is a name: the kernel hooks whatever device has or gets it. Before, a
//! device that goes takes its hook along, and its chain with it or not: so at every call the
//! chains are looked at, and those that are not as they should be are made anew.

use std::collections::BTreeSet;

use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, Nla as _};
use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{
        ChainAttribute, ChainMessage, DevHookNumber, Expressions, Hook, HookNumber,
        NfTablesMessage, RuleAttribute, RuleMessage, TableAttribute, TableFlags, TableMessage,
    },
};
use nix::errno::Errno;
use tenure_protocol::wire::v1::{CommitInterval, Mark};

use super::{
    CUT_SET, CutTable, NftFailure, is, lacks,
    message::{self, Batch, Key},
    table::table,
};
use crate::{
    core::{
        ruleset::TapName,
        seal::{self, PRIORITY, Way},
    },
    host::process,
};

const NETDEV: NetfilterProtoFamily = NetfilterProtoFamily::NetDev;
/// The kernel's number of the verdict "drop" (NF_DROP).
const DROP: u32 = 0;
/// Most taps whose chains are changed in one transaction: a batch must fit a socket's buffer.
const TAPS_PER_BATCH: usize = 64;
/// A rule goes behind those that are there (`linux/netlink.h`).
const NLM_F_APPEND: u16 = 0x800;

/// Whether nft and the kernel can seal taps. Changes nothing.
///
/// # Errors
/// [`NftFailure::Text`]: cuts stand without a seal then.
pub fn probe_seal() -> Result<(), NftFailure> {
    let operation = "seal taps: Linux 5.16 or later can, with CONFIG_NETFILTER_EGRESS";
    let text = serde_json::to_vec(&seal::probe())
        .map_err(|error| NftFailure::Unreadable(error.to_string()))?;
    match process::run(&["nft", "-j", "-c", "-f", "-"], &text, &[]) {
        Ok(_) => Ok(()),
        Err(source) if source.is_not_installed() => Err(NftFailure::Missing(source)),
        Err(source) => Err(NftFailure::Text { operation, source }),
    }
}

impl CutTable {
    /// Seals these taps of a tenant and none else of its: each drops all frames, both ways, also
    /// those that no bridge's filter sees. Without taps the table is removed. Returns when that
    /// was committed, if anything was to be done.
    ///
    /// # Errors
    /// [`NftFailure`]; what was sealed before still is.
    pub fn seal(
        &mut self,
        mark: Mark,
        taps: &BTreeSet<TapName>,
    ) -> Result<Option<CommitInterval>, NftFailure> {
        let name = seal::table_name(mark);
        let found = table(&mut self.kernel, NETDEV, &name)?;
        if let Some(port) = found.and_then(|found| found.owner)
            && port != self.kernel.port()
        {
            return Err(NftFailure::Owned { table: name, port });
        }
        if taps.is_empty() {
            return found.map(|_| self.unseal(mark)).transpose();
        }
        let ours = found.is_some_and(|found| found.owner.is_some());
        // What others can edit is looked at as nft sees it, rules and all.
        let known = match found {
            None => false,
            Some(found) if found.flags.contains(TableFlags::Dormant) => false,
            Some(_) => ours || (!self.seals_are_owned && self.lists_as_sealed(mark, taps)?),
        };
        if known {
            let changes = difference(&name, taps, &self.chains(&name)?);
            return self.commit_all(changes);
        }
        let anew = |flags| {
            let mut changes = Batch::new();
            if found.is_some() {
                changes.push(delete_table(&name));
            }
            changes.push(new_table(&name, flags));
            changes.extend(taps.iter().flat_map(|tap| new_chains(&name, tap)));
            changes
        };
        if self.seals_are_owned {
            match self.commit_all(anew(TableFlags::Owner | TableFlags::Persisent)) {
                Err(NftFailure::Kernel { source, .. }) if lacks(&source) => {}
                result => return result,
            }
        }
        // A kernel that cannot keep a table after its owner's end, if it takes this one.
        let done = self.commit_all(anew(TableFlags::empty()))?;
        self.seals_are_owned = false;
        Ok(done)
    }

    /// The taps of a tenant that drop everything, as the kernel has it now.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`].
    pub fn sealed(&mut self, mark: Mark) -> Result<BTreeSet<String>, NftFailure> {
        let name = seal::table_name(mark);
        match table(&mut self.kernel, NETDEV, &name)? {
            Some(found) if !found.flags.contains(TableFlags::Dormant) => {}
            Some(_) | None => return Ok(BTreeSet::new()),
        }
        let chains = self.chains(&name)?;
        let both =
            |tap: &String| Way::BOTH.iter().all(|&way| chains.contains(&Dropping::at(way, tap)));
        Ok(chains.iter().filter_map(|chain| chain.device.clone()).filter(both).collect())
    }

    /// Lets a tenant's frames pass again: its seal and its cut end in one transaction. Restoring
    /// again changes nothing.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`]; the cut goes on then.
    pub fn restore(&mut self, mark: Mark) -> Result<CommitInterval, NftFailure> {
        let operation = "restore a tenant";
        let name = seal::table_name(mark);
        let delete = message::delete_element(CUT_SET, &Key::Mark(mark));
        if table(&mut self.kernel, NETDEV, &name)?.is_some() {
            let both = [vec![delete_table(&name)], delete.clone()].concat();
            match self.commit(operation, both, None) {
                // One of the two was gone: each by itself, so that neither is left.
                Err(NftFailure::Kernel { source, .. }) if is(&source, &[Errno::ENOENT]) => {
                    self.unseal(mark)?;
                }
                result => return result,
            }
        }
        self.commit(operation, delete, Some(Errno::ENOENT))
    }

    fn unseal(&mut self, mark: Mark) -> Result<CommitInterval, NftFailure> {
        let delete = vec![delete_table(&seal::table_name(mark))];
        self.commit("unseal a tenant's taps", delete, Some(Errno::ENOENT))
    }

    /// Commits changes, few enough at once.
    fn commit_all(&mut self, changes: Batch) -> Result<Option<CommitInterval>, NftFailure> {
        let mut whole: Option<CommitInterval> = None;
        for part in changes.chunks(TAPS_PER_BATCH * Way::BOTH.len() * 2) {
            let mut part = part.to_vec();
            // The kernel answers refusals in any case, and the last once all is committed.
            if let Some((flags, _)) = part.last_mut() {
                *flags |= NLM_F_ACK;
            }
            let done = self.commit("seal a tenant's taps", part, None)?;
            whole = Some(match whole {
                None => done,
                Some(before) => CommitInterval {
                    earliest: before.earliest,
                    latest: done.latest,
                    took_ns: before.took_ns.saturating_add(done.took_ns),
                },
            });
        }
        Ok(whole)
    }

    fn chains(&mut self, table: &str) -> Result<BTreeSet<Dropping>, NftFailure> {
        let attributes = vec![ChainAttribute::Table(table.to_owned())];
        let all = netdev(NfTablesMessage::GetChain(ChainMessage { attributes }));
        let list = self
            .kernel
            .dump(&all)
            .map_err(|source| NftFailure::Kernel { operation: "read back a seal", source })?;
        Ok(list.into_iter().filter_map(|answer| chain(answer, table)).collect())
    }

    fn lists_as_sealed(&self, mark: Mark, taps: &BTreeSet<TapName>) -> Result<bool, NftFailure> {
        let name = seal::table_name(mark);
        let output = process::run(&["nft", "-j", "list", "table", "netdev", &name], &[], &[])
            .map_err(|source| NftFailure::Text { operation: "list a seal", source })?;
        // What cannot be read is no seal of ours: it is made anew.
        Ok(seal::is_sealed(mark, taps, &output.stdout).unwrap_or(false))
    }
}

/// A chain, and the device at which it drops everything, if it does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Dropping {
    chain: String,
    way: Option<Way>,
    device: Option<String>,
}

impl Dropping {
    fn at(way: Way, tap: &str) -> Self {
        let chain = seal::chain_name(way, tap);
        Self { chain, way: Some(way), device: Some(tap.to_owned()) }
    }
}

fn chain(answer: NetfilterMessage, table: &str) -> Option<Dropping> {
    let NetfilterMessageInner::NfTables(NfTablesMessage::NewChain(chain)) = answer.inner else {
        return None;
    };
    let mut found = Dropping { chain: String::new(), way: None, device: None };
    let (mut its_table, mut drops, mut first) = (String::new(), false, false);
    for attribute in chain.attributes {
        match attribute {
            ChainAttribute::Table(name) => its_table = name,
            ChainAttribute::Name(name) => found.chain = name,
            ChainAttribute::Policy(policy) => drops = policy == DROP,
            ChainAttribute::Hook(hooks) => {
                for hook in hooks {
                    match hook {
                        Hook::Number(number) => found.way = way(number),
                        Hook::Priority(value) => first = value.cast_signed() == PRIORITY,
                        Hook::NetDeviceName(name) => found.device = Some(name),
                        Hook::NetDevices(names) => found.device = found.device.or(only(&names)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if !(drops && first) {
        (found.way, found.device) = (None, None);
    }
    (its_table == table).then_some(found)
}

fn way(number: HookNumber) -> Option<Way> {
    // Read before the device, the number is taken for one of family inet.
    let number = u32::from(number);
    Way::BOTH.into_iter().find(|way| u32::from(number_of(*way)) == number)
}

const fn number_of(way: Way) -> DevHookNumber {
    match way {
        Way::In => DevHookNumber::Ingress,
        Way::Out => DevHookNumber::Egress,
    }
}

fn only(names: &[DefaultNla]) -> Option<String> {
    let [name] = names else { return None };
    let mut bytes = vec![0; name.value_len()];
    name.emit_value(&mut bytes);
    bytes.pop_if(|last| *last == 0);
    String::from_utf8(bytes).ok()
}

/// What makes the table's chains those of these taps. A chain that is not as it should be goes, and
/// comes again in the same transaction.
fn difference(table: &str, taps: &BTreeSet<TapName>, there: &BTreeSet<Dropping>) -> Batch {
    let wanted = |tap: &TapName| Way::BOTH.map(|way| Dropping::at(way, tap.as_str()));
    let good = |tap: &TapName| wanted(tap).iter().all(|chain| there.contains(chain));
    let keep: BTreeSet<Dropping> = taps.iter().filter(|tap| good(tap)).flat_map(wanted).collect();
    let mut changes: Batch =
        there.difference(&keep).map(|bad| delete_chain(table, &bad.chain)).collect();
    changes.extend(taps.iter().filter(|tap| !good(tap)).flat_map(|tap| new_chains(table, tap)));
    changes
}

fn new_table(name: &str, flags: TableFlags) -> (u16, NetfilterMessage) {
    let attributes = vec![TableAttribute::Name(name.to_owned()), TableAttribute::Flags(flags)];
    let message = NfTablesMessage::NewTable(TableMessage { attributes });
    (NLM_F_REQUEST | NLM_F_CREATE, netdev(message))
}

fn delete_table(name: &str) -> (u16, NetfilterMessage) {
    let attributes = vec![TableAttribute::Name(name.to_owned())];
    let message = NfTablesMessage::DeleteTable(TableMessage { attributes });
    (NLM_F_REQUEST | NLM_F_ACK, netdev(message))
}

fn delete_chain(table: &str, chain: &str) -> (u16, NetfilterMessage) {
    let (table, name) = (table.to_owned(), chain.to_owned());
    let attributes = vec![ChainAttribute::Table(table), ChainAttribute::Name(name)];
    (NLM_F_REQUEST, netdev(NfTablesMessage::DeleteChain(ChainMessage { attributes })))
}

/// A tap's two chains, each with its counter.
fn new_chains(table: &str, tap: &TapName) -> Batch {
    let mut changes = Batch::new();
    for way in Way::BOTH {
        let name = seal::chain_name(way, tap.as_str());
        let hook = vec![
            Hook::Number(HookNumber::Dev(number_of(way))),
            Hook::Priority(PRIORITY.cast_unsigned()),
            Hook::NetDeviceName(tap.as_str().to_owned()),
        ];
        let attributes = vec![
            ChainAttribute::Table(table.to_owned()),
            ChainAttribute::Name(name.clone()),
            ChainAttribute::Hook(hook),
            ChainAttribute::Policy(DROP),
            ChainAttribute::Type("filter".to_owned()),
        ];
        let chain = NfTablesMessage::NewChain(ChainMessage { attributes });
        changes.push((NLM_F_REQUEST | NLM_F_CREATE, netdev(chain)));
        let counter =
            Expressions::Other { expression_type: "counter".to_owned(), attributes: Vec::new() };
        let attributes = vec![
            RuleAttribute::Table(table.to_owned()),
            RuleAttribute::Chain(name),
            RuleAttribute::Expressions(vec![counter.into()]),
        ];
        let rule = NfTablesMessage::NewRule(RuleMessage { attributes });
        changes.push((NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND, netdev(rule)));
    }
    changes
}

fn netdev(message: NfTablesMessage) -> NetfilterMessage {
    message::of(NETDEV, message)
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
