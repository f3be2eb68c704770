//! Tables as the kernel describes them.

use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{GenAttribute, NfTablesMessage, TableAttribute, TableFlags},
};
use nix::errno::Errno;

use super::{Channel, NftFailure, is, message};

/// What the kernel says of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) flags: TableFlags,
    /// Netlink port of the socket that owns it.
    pub(super) owner: Option<u32>,
}

/// Looks for a table.
pub(super) fn table(
    kernel: &mut Channel<NetfilterMessage>,
    family: NetfilterProtoFamily,
    name: &str,
) -> Result<Option<Found>, NftFailure> {
    let answers = match kernel.request(message::get_table(family, name)) {
        Ok(answers) => answers,
        Err(source) if is(&source, &[Errno::ENOENT]) => return Ok(None),
        Err(source) => {
            return Err(NftFailure::Kernel { operation: "look for a table", source });
        }
    };
    let mut found = Found { flags: TableFlags::empty(), owner: None };
    for attribute in message::table_attributes(answers) {
        match attribute {
            TableAttribute::Flags(flags) => found.flags = flags,
            TableAttribute::Owner(port) => found.owner = Some(port),
            _ => {}
        }
    }
    Ok(Some(found))
}

/// The number of the kernel's present rule set: another after each transaction, anybody's.
pub(super) fn generation(kernel: &mut Channel<NetfilterMessage>) -> Result<u32, NftFailure> {
    let answers = kernel.request(message::get_generation()).map_err(|source| {
        NftFailure::Kernel { operation: "ask for the rule set's generation", source }
    })?;
    let found = answers.into_iter().find_map(|answer| match answer.inner {
        NetfilterMessageInner::NfTables(NfTablesMessage::NewGen(generation)) => {
            generation.attributes.into_iter().find_map(|attribute| match attribute {
                GenAttribute::Id(number) => Some(number),
                _ => None,
            })
        }
        _ => None,
    });
    found.ok_or_else(|| NftFailure::Unreadable("no generation of the rule set".to_owned()))
}
