//! The few nf_tables messages that the cut table needs (`linux/netfilter/nf_tables.h`), and what
//! the seals share with it.
//!
//! nft makes the sets and notes in their user data that keys are in the host's byte order, so that
//! elements made here are listed by nft as they are meant.

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{
        DataAttribute, GenMessage, ListAttribute, NfTablesMessage, SetElementAttribute,
        SetElementList, SetElementMessage, TableAttribute, TableFlags, TableMessage,
    },
    none::ControlMessage,
};
use tenure_protocol::wire::v1::Mark;

use super::NftFailure;
use crate::core::ruleset::{CUT_TABLE, TapName};

/// Length of a device's name in a set, bytes (IFNAMSIZ).
const NAME_BYTES: usize = 16;
/// Which subsystem a batch is for (NFNL_SUBSYS_NFTABLES).
const NFTABLES: u16 = 10;

/// Messages with their flags.
pub(super) type Batch = Vec<(u16, NetfilterMessage)>;
/// One element of a set as the kernel describes it.
pub(super) type Element = Vec<SetElementAttribute>;

/// One element of the cut table.
#[derive(Debug, Clone)]
pub(super) enum Key {
    /// Of the set of cut tenants.
    Mark(Mark),
    /// Of the map from tap to tenant.
    Port(TapName, Mark),
}

/// The cut table with these flags: made, or updated to them.
pub(super) fn new_table(flags: TableFlags) -> Batch {
    let attributes = vec![TableAttribute::Name(CUT_TABLE.to_owned()), TableAttribute::Flags(flags)];
    let message = NfTablesMessage::NewTable(TableMessage { attributes });
    vec![(NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, bridge(message))]
}

/// Asks for a table.
pub(super) fn get_table(family: NetfilterProtoFamily, name: &str) -> Batch {
    let attributes = vec![TableAttribute::Name(name.to_owned())];
    let message = NfTablesMessage::GetTable(TableMessage { attributes });
    vec![(NLM_F_REQUEST | NLM_F_ACK, of(family, message))]
}

/// Asks for the number of the present rule set.
pub(super) fn get_generation() -> Batch {
    let message = NfTablesMessage::GetGen(GenMessage { attributes: Vec::new() });
    vec![(NLM_F_REQUEST | NLM_F_ACK, of(NetfilterProtoFamily::Unspec, message))]
}

/// What the answers to [`get_table`] say.
pub(super) fn table_attributes(answers: Vec<NetfilterMessage>) -> Vec<TableAttribute> {
    let tables = answers.into_iter().filter_map(|answer| match answer.inner {
        NetfilterMessageInner::NfTables(NfTablesMessage::NewTable(table)) => Some(table.attributes),
        _ => None,
    });
    tables.flatten().collect()
}

/// Adds elements; those that are there already stay as they are.
pub(super) fn add_elements(set: &str, keys: &[Key]) -> Batch {
    let elements = keys.iter().map(|key| ListAttribute::Element(element(key, true))).collect();
    let message = NfTablesMessage::NewSetElement(in_set(set, Some(elements)));
    vec![(NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, bridge(message))]
}

/// Deletes one element, whatever its value.
pub(super) fn delete_element(set: &str, key: &Key) -> Batch {
    let elements = vec![ListAttribute::Element(element(key, false))];
    let message = NfTablesMessage::DeleteSetElement(in_set(set, Some(elements)));
    vec![(NLM_F_REQUEST | NLM_F_ACK, bridge(message))]
}

/// Asks for all elements of a set.
pub(super) fn get_elements(set: &str) -> NetfilterMessage {
    bridge(NfTablesMessage::GetSetElement(in_set(set, None)))
}

/// What the answers to [`get_elements`] hold.
pub(super) fn elements(answers: Vec<NetfilterMessage>) -> Vec<Element> {
    let lists = answers.into_iter().filter_map(|answer| match answer.inner {
        NetfilterMessageInner::NfTables(NfTablesMessage::NewSetElement(set)) => {
            Some(set.attributes)
        }
        _ => None,
    });
    let elements = lists.flatten().filter_map(|attribute| match attribute {
        SetElementList::Elements(elements) => Some(elements),
        _ => None,
    });
    elements
        .flatten()
        .filter_map(|element| match element {
            ListAttribute::Element(attributes) => Some(attributes),
            _ => None,
        })
        .collect()
}

/// The mark that is an element's key.
pub(super) fn mark(element: &[SetElementAttribute]) -> Result<Mark, NftFailure> {
    let key = element.iter().find_map(|attribute| match attribute {
        SetElementAttribute::Key(DataAttribute::Value(bytes)) => Some(bytes.as_slice()),
        _ => None,
    });
    number(key)
}

/// The tap that is an element's key, and the mark that is its value.
pub(super) fn port(element: &[SetElementAttribute]) -> Result<(String, Mark), NftFailure> {
    let (mut tap, mut value) = (None, None);
    for attribute in element {
        match attribute {
            SetElementAttribute::Key(DataAttribute::Value(bytes)) => {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                tap = String::from_utf8(bytes[..end].to_vec()).ok();
            }
            SetElementAttribute::Data(DataAttribute::Value(bytes)) => {
                value = Some(bytes.as_slice())
            }
            _ => {}
        }
    }
    let tap = tap.ok_or_else(|| NftFailure::Unreadable("a port without a name".to_owned()))?;
    Ok((tap, number(value)?))
}

fn number(bytes: Option<&[u8]>) -> Result<Mark, NftFailure> {
    let bytes = bytes.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| NftFailure::Unreadable("a mark that is no u32".to_owned()))?;
    Ok(Mark(u32::from_ne_bytes(bytes)))
}

fn element(key: &Key, with_value: bool) -> Element {
    let value = |bytes: Vec<u8>| DataAttribute::Value(bytes);
    match key {
        Key::Mark(mark) => vec![SetElementAttribute::Key(value(mark.0.to_ne_bytes().to_vec()))],
        Key::Port(tap, mark) => {
            let mut name = tap.as_str().as_bytes().to_vec();
            name.resize(NAME_BYTES, 0);
            let mut element = vec![SetElementAttribute::Key(value(name))];
            if with_value {
                element.push(SetElementAttribute::Data(value(mark.0.to_ne_bytes().to_vec())));
            }
            element
        }
    }
}

fn in_set(
    set: &str,
    elements: Option<Vec<ListAttribute<SetElementAttribute>>>,
) -> SetElementMessage {
    let mut attributes =
        vec![SetElementList::Table(CUT_TABLE.to_owned()), SetElementList::Set(set.to_owned())];
    attributes.extend(elements.map(SetElementList::Elements));
    SetElementMessage { attributes }
}

fn bridge(message: NfTablesMessage) -> NetfilterMessage {
    of(NetfilterProtoFamily::Bridge, message)
}

/// A message about something of a family.
pub(super) fn of(family: NetfilterProtoFamily, message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message)
}

/// Wraps changes into a transaction: the kernel commits all of them or nothing.
pub(super) fn transaction(messages: Batch) -> Batch {
    let edge = |message| {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES);
        (NLM_F_REQUEST, NetfilterMessage::new(header, message))
    };
    let mut batch = vec![edge(ControlMessage::BatchBegin)];
    batch.extend(messages);
    batch.push(edge(ControlMessage::BatchEnd));
    batch
}
