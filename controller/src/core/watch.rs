//! Who tells the customer of an emergency cut if the controller cannot: every host that is ordered,
//! and one witness. Each keeps a packet with the notices, and is disarmed by a signed receipt once
//! the customer is told.
//!
//! ```text
//! open ─kept→ kept ──told, or the cut is void──→ disarmed ─the host says so→ over
//!   └─not kept→ lost ────────────────────────────────┘
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    channel::Channel,
    digest::Digest,
    id::{CutId, HostId},
    ladder::GIVE_UP_S,
    time::Timestamp,
    wire::watch::{Destination, Packet, PacketNotice, Routes, Watch},
};

use super::{
    notice::{Notice, NoticeKind, NoticeState},
    tenant::{Cut, Tenant},
};

/// Hosts that are up among which a witness is looked for, at most.
pub const MAX_CANDIDATES: u32 = 256;

/// A cut's witness: the host that was not ordered and keeps the notices all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// None was looked for: the cut was planned, or is from before there were any.
    #[default]
    Unasked,
    /// No other host was up: if controller and ordered hosts fall silent, nobody speaks.
    NoneUp,
    /// This one.
    Host(HostId),
}

/// What a site has its hosts do.
#[derive(Debug, Clone)]
pub struct Watching {
    /// For how long a host waits for the controller's word, ms.
    pub fallback_after_ms: u64,
    /// By which routes it then sends.
    pub routes: Routes,
}

/// What a host's watch over a cut has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchState {
    /// The packet is to be sent.
    Open,
    /// The host has it.
    Kept,
    /// The host could not keep it.
    Lost,
    /// The signed receipt is to be sent.
    Disarmed,
    /// The host has destroyed the packet.
    Over,
}

impl WatchState {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Kept => "kept",
            Self::Lost => "lost",
            Self::Disarmed => "disarmed",
            Self::Over => "over",
        }
    }
}

/// The witness of a cut among the hosts that are up: the same whoever asks, and another for another
/// cut, so that no host bears them all.
#[must_use]
pub fn witness(cut: CutId, ordered: &BTreeSet<HostId>, up: &[HostId]) -> Witness {
    let weight = |host: &HostId| {
        Digest::of(&[cut.as_uuid().as_bytes().as_slice(), host.as_uuid().as_bytes()].concat())
    };
    let free = up.iter().filter(|host| !ordered.contains(host));
    free.max_by_key(|host| weight(host)).map_or(Witness::NoneUp, |host| Witness::Host(*host))
}

/// The packet of a cut for one host; `notices` are the cut's, of which those that can still be
/// sent go in.
#[must_use]
pub fn packet(
    tenant: &Tenant,
    cut: &Cut,
    host: HostId,
    ordered_at: Timestamp,
    notices: &[Notice],
    watching: &Watching,
    real_now: Timestamp,
) -> Packet {
    let watch = if cut.witness == Witness::Host(host) {
        let ago = u64::try_from(real_now.ms_since(ordered_at)).unwrap_or(0);
        Watch::Witness { ordered_ms_ago: ago }
    } else {
        Watch::Ordered
    };
    Packet {
        cut: cut.id,
        tenant: tenant.id,
        host,
        watch,
        fallback_after_ms: watching.fallback_after_ms,
        issued_at: real_now,
        ttl_ms: GIVE_UP_S.unsigned_abs() * 1000,
        routes: watching.routes.clone(),
        notices: notices
            .iter()
            .filter(|notice| is_sendable(notice))
            .filter_map(|notice| of_packet(notice, cut.id))
            .collect(),
    }
}

fn is_sendable(notice: &Notice) -> bool {
    let open = match notice.state {
        NoticeState::Armed { .. } | NoticeState::Due { .. } => true,
        NoticeState::Delivered { .. } | NoticeState::Void { .. } => false,
    };
    open && notice.kind == NoticeKind::Cut
}

/// The notice as a host carries it: by mail and webhook. Short messages need the site's account
/// with its operator, and a bot counts what all senders post together: both stay the controller's.
fn of_packet(notice: &Notice, cut: CutId) -> Option<PacketNotice> {
    let to = match &notice.channel {
        Channel::Mail { address } => Destination::Mail { address: address.clone() },
        Channel::Webhook { url, secret } => {
            Destination::Webhook { url: url.clone(), secret: secret.clone() }
        }
        Channel::Sms { .. } | Channel::Bot { .. } => return None,
    };
    Some(PacketNotice {
        id: notice.id,
        designated: notice.is_designated(cut),
        to,
        subject: notice.subject.clone(),
        body: notice.body.clone(),
        payload: notice.payload.clone(),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_witness_is_no_ordered_host_the_same_for_all_and_not_the_same_for_every_cut() {
        let host = |n: u128| HostId::from_uuid(Uuid::from_u128(n));
        let cut = |n: u128| CutId::from_uuid(Uuid::from_u128(n));
        let up: Vec<HostId> = (1..=8).map(host).collect();
        let ordered = BTreeSet::from([host(1), host(2)]);
        let mut reversed = up.clone();
        reversed.reverse();
        let mut drawn = BTreeSet::new();
        for n in 0..64 {
            let Witness::Host(one) = witness(cut(n), &ordered, &up) else { panic!("none") };
            assert!(!ordered.contains(&one));
            assert_eq!(witness(cut(n), &ordered, &reversed), Witness::Host(one));
            drawn.insert(one);
        }
        assert!(drawn.len() > 3, "{drawn:?}");
        assert_eq!(witness(cut(1), &ordered, &up[..2]), Witness::NoneUp);
        assert_eq!(witness(cut(1), &ordered, &[]), Witness::NoneUp);
    }
}
