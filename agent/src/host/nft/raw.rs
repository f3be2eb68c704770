//! Rules, sets and counters as the kernel says them, byte by byte: what is compared by its digest
//! or counted needs no types, and the crate's have none for objects and most expressions.

use std::{collections::BTreeMap, convert::Infallible};

use netlink_packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use tenure_protocol::digest::Digest;

use super::{Channel, NftFailure};

/// The subsystem in a message's type (NFNL_SUBSYS_NFTABLES).
const SUBSYSTEM: u16 = 10 << 8;
/// Bits of an attribute's type that are flags.
const ATTRIBUTE: u16 = 0x3fff;
/// nfnetlink's header before the attributes, bytes.
const HEADER: usize = 4;

/// Families (NFPROTO_…).
pub(super) const BRIDGE: u8 = 7;
pub(super) const NETDEV: u8 = 5;

/// What is asked for: NFT_MSG_GET…, and the attributes that make it what it is: names, hooks,
/// policies, expressions, key types; not handles, positions and counts of users.
const CHAINS: (u16, &[u16]) = (4, &[1, 3, 4, 5, 7]);
const RULES: (u16, &[u16]) = (7, &[1, 2, 4]);
const SETS: (u16, &[u16]) = (10, &[1, 2, 3, 4, 5, 6, 7]);
const OBJECTS: u16 = 19;
const ELEMENTS: u16 = 13;

/// A message, undecoded.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    kind: u16,
    bytes: Vec<u8>,
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.bytes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.bytes);
    }
}

impl NetlinkDeserializable for Raw {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, bytes: payload.to_vec() })
    }
}

impl From<Raw> for NetlinkPayload<Raw> {
    fn from(raw: Raw) -> Self {
        Self::InnerMessage(raw)
    }
}

/// Reads tables as they are.
#[derive(Debug)]
pub(super) struct Reader(Channel<Raw>);

type Attributes = Vec<(u16, Vec<u8>)>;

impl Reader {
    /// Reads in the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, NftFailure> {
        Channel::open(NETLINK_NETFILTER)
            .map(Self)
            .map_err(|source| NftFailure::Kernel { operation: "read the packet filter", source })
    }

    /// SHA-256 over a table's chains, rules and sets, in the kernel's order.
    pub(super) fn structure(&mut self, family: u8, table: &str) -> Result<Digest, NftFailure> {
        let mut text = Vec::new();
        for (kind, counts) in [CHAINS, SETS, RULES] {
            for attributes in self.list(kind, family, table)? {
                text.extend(kind.to_be_bytes());
                for (name, value) in attributes.iter().filter(|(name, _)| counts.contains(name)) {
                    text.extend(name.to_be_bytes());
                    text.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
                    text.extend(value);
                }
            }
        }
        Ok(Digest::of(&text))
    }

    /// Packets of a table's named counters.
    pub(super) fn counters(
        &mut self,
        family: u8,
        table: &str,
    ) -> Result<BTreeMap<String, u64>, NftFailure> {
        // NFTA_OBJ_NAME 2, NFTA_OBJ_DATA 4.
        let objects = self.list(OBJECTS, family, table)?;
        Ok(objects.iter().map(|object| (name(object, 2), packets(&value(object, 4)))).collect())
    }

    /// Packets that the rules' own counters have counted, by chain.
    pub(super) fn rule_counters(
        &mut self,
        family: u8,
        table: &str,
    ) -> Result<BTreeMap<String, u64>, NftFailure> {
        let mut counted = BTreeMap::new();
        for rule in self.list(RULES.0, family, table)? {
            // NFTA_RULE_EXPRESSIONS 4 is a list of NFTA_EXPR_NAME 1, NFTA_EXPR_DATA 2.
            for (_, expression) in attributes(&value(&rule, 4)) {
                let expression = attributes(&expression);
                if name(&expression, 1) == "counter" {
                    *counted.entry(name(&rule, 2)).or_default() += packets(&value(&expression, 2));
                }
            }
        }
        Ok(counted)
    }

    /// Packets that the elements of a set of names have counted, each by its own counter.
    pub(super) fn element_counters(
        &mut self,
        family: u8,
        table: &str,
        set: &str,
    ) -> Result<BTreeMap<String, u64>, NftFailure> {
        let mut counted = BTreeMap::new();
        // NFTA_SET_ELEM_LIST_TABLE 1, …_SET 2, …_ELEMENTS 3, a list.
        for answer in self.ask(ELEMENTS, family, &[table, set])? {
            for (_, element) in attributes(&value(&answer, 3)) {
                let element = attributes(&element);
                // NFTA_SET_ELEM_KEY 1 holds NFTA_DATA_VALUE 1; NFTA_SET_ELEM_EXPR 7 holds
                // NFTA_EXPR_DATA 2.
                let key = name(&attributes(&value(&element, 1)), 1);
                let counter = value(&attributes(&value(&element, 7)), 2);
                counted.insert(key, packets(&counter));
            }
        }
        Ok(counted)
    }

    fn list(&mut self, kind: u16, family: u8, table: &str) -> Result<Vec<Attributes>, NftFailure> {
        let read = self.ask(kind, family, &[table])?;
        // Of chains the kernel lists those of all tables.
        Ok(read.into_iter().filter(|attributes| name(attributes, 1) == table).collect())
    }

    /// Everything of a kind; the names are the question's attributes, from 1 on.
    fn ask(
        &mut self,
        kind: u16,
        family: u8,
        names: &[&str],
    ) -> Result<Vec<Attributes>, NftFailure> {
        let mut bytes = vec![family, 0, 0, 0];
        for (attribute, name) in (1_u16..).zip(names) {
            let name = [name.as_bytes(), &[0]].concat();
            bytes.extend(u16::try_from(4 + name.len()).unwrap_or(u16::MAX).to_ne_bytes());
            bytes.extend(attribute.to_ne_bytes());
            bytes.extend(&name);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let all = self.0.dump(&Raw { kind: SUBSYSTEM | kind, bytes }).map_err(|source| {
            NftFailure::Kernel { operation: "read back the packet filter", source }
        })?;
        let read = all.iter().map(|raw| attributes(raw.bytes.get(HEADER..).unwrap_or_default()));
        Ok(read.collect())
    }
}

fn attributes(bytes: &[u8]) -> Attributes {
    let all = NlasIterator::new(bytes).map_while(Result::ok);
    all.map(|nla| (nla.kind() & ATTRIBUTE, nla.value().to_vec())).collect()
}

fn value(attributes: &Attributes, wanted: u16) -> Vec<u8> {
    let found = attributes.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

fn name(attributes: &Attributes, wanted: u16) -> String {
    let bytes = value(attributes, wanted);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// NFTA_COUNTER_PACKETS 2, big endian.
fn packets(counter: &[u8]) -> u64 {
    let bytes = value(&attributes(counter), 2);
    <[u8; 8]>::try_from(bytes.as_slice()).map_or(0, u64::from_be_bytes)
}
