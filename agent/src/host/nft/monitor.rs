//! Who changes the packet filter: the kernel tells every transaction to whoever listens
//! (NFNLGRP_NFTABLES), and at its end the process that made it.
//!
//! ```text
//!   NEWRULE tenure · DELSETELEM tenure · … · NEWGEN 4711, pid 99, "nft"
//!   └───────── which tables ─────────┘         └──── who, and which generation
//! ```
//!
//! [`Monitor`] reads, on a thread that has nothing else to do; [`Changes`] is what it has read, for
//! whoever finds a difference and asks for the culprit. Whether there is a difference it never
//! decides: notifications can be lost, and our own transactions are among them.

use std::{
    collections::{BTreeSet, VecDeque},
    os::fd::AsRawFd as _,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use netlink_packet_core::{NlaBuffer, NlasIterator};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};
use tenure_protocol::wire::v1::Culprit;

use super::{NetlinkFailure, NftFailure};
use crate::core::ruleset::{CUT_TABLE, POLICY_TABLE};

/// The kernel's group of notifications on nf_tables (NFNLGRP_NFTABLES).
const GROUP: u32 = 7;
/// The subsystem in a message's type (NFNL_SUBSYS_NFTABLES).
const SUBSYSTEM: u16 = 10;
/// The message that ends a transaction's (NFT_MSG_NEWGEN).
const NEWGEN: u8 = 15;
/// Bytes of a netlink header, and of it with nfnetlink's.
const HEADERS: (usize, usize) = (16, 20);
/// Bits of an attribute's type that are flags.
const ATTRIBUTE: u16 = 0x3fff;
/// Transactions that are remembered.
const KEPT: usize = 64;
/// Our own processes that are remembered.
const OURS: usize = 64;
/// How long a finder waits for the notification of what was found: it is told right after the
/// commit, and read by another thread.
const PATIENCE: Duration = Duration::from_millis(200);
/// Bytes of one reading: the kernel fills a datagram up to a page or two.
const BUFFER: usize = 64 * 1024;

/// What is known of others' transactions. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<(Mutex<Read>, Condvar)>);

#[derive(Debug, Default)]
struct Read {
    /// The newest last.
    transactions: VecDeque<Transaction>,
    /// Generation of the newest; none while nobody listens.
    generation: Option<u32>,
    /// Netlink ports of this process's sockets.
    sockets: BTreeSet<u32>,
    /// Netlink ports of what it started, the last [`OURS`].
    ours: VecDeque<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Transaction {
    tables: BTreeSet<String>,
    generation: u32,
    port: u32,
    pid: u32,
    command: String,
}

impl Changes {
    /// Who changed a table last, after the generation `since` and up to `until`, but for ourselves.
    pub(super) fn culprit(&self, table: &str, since: Option<u32>, until: u32) -> Option<Culprit> {
        let (read, arrived) = &*self.0;
        let waits =
            |read: &mut Read| read.generation.is_some_and(|newest| is_before(newest, until));
        let guard = lock(read);
        let (read, _) = arrived
            .wait_timeout_while(guard, PATIENCE, waits)
            .unwrap_or_else(PoisonError::into_inner);
        let mut others = read.transactions.iter().rev().filter(|one| {
            one.tables.contains(table)
                && !read.ours.contains(&one.port)
                && !read.sockets.contains(&one.port)
                && since.is_none_or(|since| is_before(since, one.generation))
        });
        let last = others.next()?;
        Some(Culprit { pid: last.pid, command: last.command.clone() })
    }

    /// The netlink port of a socket of this process, which it has to its end.
    pub(super) fn socket(&self, port: u32) {
        lock(&self.0.0).sockets.insert(port);
    }

    /// The netlink port of a process that we started: its id.
    pub(super) fn ours(&self, port: u32) {
        let mut read = lock(&self.0.0);
        if read.ours.len() >= OURS {
            read.ours.pop_front();
        }
        read.ours.push_back(port);
    }

    fn note(&self, transaction: Transaction) {
        let (read, arrived) = &*self.0;
        let mut read = lock(read);
        read.generation = Some(transaction.generation);
        if !transaction.tables.is_empty() {
            if read.transactions.len() >= KEPT {
                read.transactions.pop_front();
            }
            read.transactions.push_back(transaction);
        }
        drop(read);
        arrived.notify_all();
    }
}

/// Generations are counted on past the end of their type.
const fn is_before(one: u32, other: u32) -> bool {
    other.wrapping_sub(one).cast_signed() > 0
}

fn lock(read: &Mutex<Read>) -> MutexGuard<'_, Read> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the notifications.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    changes: Changes,
    open: Transaction,
}

impl Monitor {
    /// Listens in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`].
    pub fn open(changes: Changes) -> Result<Self, NftFailure> {
        let listen = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.add_membership(GROUP)?;
            Ok(socket)
        };
        let socket = listen().map_err(|source| NftFailure::Kernel {
            operation: "listen to changes of the packet filter",
            source: NetlinkFailure::Open(source),
        })?;
        Ok(Self { socket, changes, open: Transaction::default() })
    }

    /// Waits for notifications; says whether a table of ours may have been changed.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`]: the socket cannot be read any more.
    pub fn wait(&mut self) -> Result<bool, NftFailure> {
        let mut buffer = vec![0; BUFFER];
        match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => Ok(self.read(&buffer[..length])),
            // Some were lost: whoever is nudged looks for himself.
            Err(Errno::ENOBUFS) => {
                self.open = Transaction::default();
                Ok(true)
            }
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(NftFailure::Kernel {
                operation: "read changes of the packet filter",
                source: NetlinkFailure::Receive(errno.into()),
            }),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> bool {
        let (mut rest, mut touched) = (bytes, false);
        while let Some((message, after)) = split(rest) {
            rest = after;
            touched |= self.take(message);
        }
        touched
    }

    /// One message; says whether it ends a transaction on a table of ours.
    fn take(&mut self, message: &[u8]) -> bool {
        let word = |at: usize| {
            let bytes = message.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_ne_bytes)
        };
        let kind = message.get(4..6).and_then(|bytes| bytes.try_into().ok());
        let [message_type, subsystem] = kind.map_or(0, u16::from_ne_bytes).to_le_bytes();
        if u16::from(subsystem) != SUBSYSTEM {
            return false;
        }
        let attributes = message.get(HEADERS.1..).unwrap_or_default();
        let attributes = NlasIterator::new(attributes).map_while(Result::ok);
        let value = |nla: &NlaBuffer<&[u8]>| (nla.kind() & ATTRIBUTE, nla.value().to_vec());
        let mut attributes = attributes.map(|nla| value(&nla));
        if message_type != NEWGEN {
            // Of each kind of message the first attribute names the table.
            if let Some((1, name)) = attributes.find(|(kind, _)| *kind == 1) {
                let name = text(&name);
                if [CUT_TABLE, POLICY_TABLE].contains(&name.as_str()) {
                    self.open.tables.insert(name);
                }
            }
            return false;
        }
        let mut transaction = std::mem::take(&mut self.open);
        transaction.port = word(12);
        for (kind, value) in attributes {
            let number = <[u8; 4]>::try_from(value.as_slice()).map_or(0, u32::from_be_bytes);
            match kind {
                1 => transaction.generation = number,
                2 => transaction.pid = number,
                3 => transaction.command = text(&value),
                _ => {}
            }
        }
        let touched = !transaction.tables.is_empty();
        self.changes.note(transaction);
        touched
    }
}

/// The first message, and what comes after it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?);
    let length = usize::try_from(length).ok().filter(|length| *length >= HEADERS.0)?;
    let message = bytes.get(..length)?;
    Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(generation: u32, port: u32, table: &str) -> Transaction {
        let tables = BTreeSet::from([table.to_owned()]);
        Transaction { tables, generation, port, pid: port, command: format!("nft{port}") }
    }

    #[test]
    fn the_culprit_is_the_last_of_others_who_touched_the_table_since() {
        let changes = Changes::default();
        let of = |table, since| changes.culprit(table, since, 0).map(|culprit| culprit.pid);
        assert_eq!(of(POLICY_TABLE, None), None, "nobody listens");
        changes.ours(7);
        for (generation, port, table) in
            [(u32::MAX, 5, POLICY_TABLE), (0, 6, POLICY_TABLE), (1, 7, POLICY_TABLE), (2, 8, "x")]
        {
            changes.note(change(generation, port, table));
        }
        assert_eq!(of(POLICY_TABLE, None), Some(6), "7 is ours, 8 was elsewhere");
        assert_eq!(of(POLICY_TABLE, Some(u32::MAX)), Some(6), "generations go round");
        assert_eq!(of(POLICY_TABLE, Some(0)), None);
        assert_eq!(of(CUT_TABLE, None), None);
    }

    #[test]
    fn bytes_that_are_no_messages_are_passed_over() {
        assert_eq!(split(&[0; 3]), None);
        assert_eq!(split(&[3, 0, 0, 0, 0, 0, 0, 0]), None, "shorter than its header");
        assert_eq!(split(&[200, 0, 0, 0]), None, "longer than what came");
    }
}
