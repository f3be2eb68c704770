//! Tables as the kernel describes them.

use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterProtoFamily,
    nftables::{TableAttribute, TableFlags},
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
