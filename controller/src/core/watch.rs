//! Who tells the customer of an emergency cut if the controller cannot: every host that is ordered,
//! and one witness. Each keeps a packet with the notices, and is disarmed by a signed receipt once
//! the customer is told.
//!
//! ```text
//! open ─kept→ kept ──told, or the cut is void──→ disarmed ─the host says so→ over
//!   └─not kept→ lost ────────────────────────────────┘
//! ```
//! And of a cut that a person orders on a host itself: each host keeps a standing packet for each
//! tenant on it, under the id that such a cut then has.
//!
//! ```text
//! standing ─a person cuts on the host, and the controller hears of it→ the watch over that cut,
//!    │                                    or over the cut that it counts into; another one stands
//!    └─its words or routes are others; it is old; nothing of the tenant is there→ disarmed
//! ```
//! The ids of its notices follow from the cut's ([`reserve`]), so that the notices of the cut have
//! them too once it is the controller's.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    channel::Channel,
    digest::Digest,
    id::{CutId, HostId, NoticeId},
    ladder::GIVE_UP_S,
    time::Timestamp,
    wire::watch::{Destination, Packet, PacketNotice, Routes, Watch},
};

use super::{
    draw::Draw,
    letter::{self, Letter, Letters},
    lifecycle::CutKind,
    notice::{Notice, NoticeKind, NoticeState},
    tenant::{Cut, CutEnd, Tenant},
};

/// Hosts that are up among which a witness is looked for, at most.
pub const MAX_CANDIDATES: u32 = 256;

/// How long a host may keep a standing packet, ms: 90 days.
const STANDING_TTL_MS: u64 = 90 * 86_400_000;

/// After so long another one takes its place, ms: 30 days.
pub const STANDING_RENEWED_MS: i64 = 30 * 86_400_000;

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

/// What a watch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A cut that the controller ordered.
    No,
    /// No cut yet: the packet waits for a person's on the host.
    Waits,
    /// Such a cut, of which the controller has heard.
    Used,
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

/// The notices of a standing packet for a cut of this id, as the tenant's contacts are at `now`
/// (legal time), and those before them that are told of cuts; those that hosts can carry.
#[must_use]
pub fn standing(
    letters: &Letters,
    tenant: &Tenant,
    cut: CutId,
    (now, real_now): (Timestamp, Timestamp),
) -> Vec<Notice> {
    // Nothing is known of it but its id: it has no number yet.
    let mut cut_then = tenant.clone();
    cut_then.cuts.push(Cut {
        id: cut,
        number: 0,
        kind: CutKind::Emergency,
        announced: None,
        reason: String::new(),
        ordered_by: String::new(),
        ordered_at: real_now,
        t0: None,
        commits: BTreeMap::new(),
        notices: Vec::new(),
        witness: Witness::Unasked,
        notified_at: None,
        began_at: None,
        alarm: None,
        alarms: Vec::new(),
        acknowledged: None,
        former: Vec::new(),
        drill: None,
        end: CutEnd::Open,
        reminded_at: real_now,
    });
    let state = NoticeState::Due { since: real_now, next_at: real_now };
    let (contacts, letter) = (&tenant.application.contacts, (letters, &Letter::CutOnHost));
    let (kind, mut draw) = (NoticeKind::Cut, Draw::new([0; 32], real_now));
    let mut notices =
        letter::render(letter, &cut_then, kind, &state, contacts, real_now, &mut draw);
    reserve(cut, &mut notices);
    let former = tenant.former_contacts(now);
    let mut former =
        letter::render_former(letter, &cut_then, kind, &state, &former, real_now, &mut draw);
    reserve(cut, &mut former);
    notices.append(&mut former);
    notices.retain(|notice| of_packet(notice, cut).is_some());
    notices
}

/// What a standing packet of a tenant says at `now` (legal time) and by which routes, whenever it
/// is made: another one takes its place when this changes. Nothing if no host could send anything.
#[must_use]
pub fn standing_digest(
    letters: &Letters,
    tenant: &Tenant,
    watching: &Watching,
    now: Timestamp,
) -> Option<Digest> {
    let (nil, epoch) = (CutId::from_uuid(uuid::Uuid::nil()), Timestamp::from_unix_ms(0));
    let notices = standing(letters, tenant, nil, (now, epoch));
    let said = serde_json::to_vec(&notices).ok().filter(|_| !notices.is_empty())?;
    let routes = (&watching.routes, watching.fallback_after_ms);
    let routes = tenure_protocol::wire::frame::encode(&routes).ok()?;
    Some(Digest::of(&[said, routes].concat()))
}

/// A standing packet for one host; `notices` are [`standing`]'s, with their channels' secrets.
#[must_use]
pub fn standing_packet(
    (tenant, cut, host): (&Tenant, CutId, HostId),
    notices: &[Notice],
    watching: &Watching,
    real_now: Timestamp,
) -> Packet {
    Packet {
        cut,
        tenant: tenant.id,
        host,
        watch: Watch::Standing,
        fallback_after_ms: watching.fallback_after_ms,
        issued_at: real_now,
        ttl_ms: STANDING_TTL_MS,
        routes: watching.routes.clone(),
        notices: notices.iter().filter_map(|notice| of_packet(notice, cut)).collect(),
    }
}

/// Gives the notices of a cut that a person ordered on a host the ids that follow from the cut's
/// and from where each goes: they are the same whoever makes them, and whenever.
pub fn reserve(cut: CutId, notices: &mut [Notice]) {
    let mut seen = BTreeMap::<Digest, u64>::new();
    for notice in notices {
        let to = match &notice.channel {
            Channel::Mail { address } => address,
            Channel::Webhook { url, .. } => url,
            Channel::Sms { number } => number,
            Channel::Bot { .. } => "",
        };
        let kind = notice.channel.as_str();
        let place = format!("tenure/reserved\0{cut}\0{}\0{kind}\0{to}", notice.contact);
        let place = Digest::of(place.as_bytes());
        let nth = seen.entry(place).or_default();
        let mut draw = Draw::new(Digest::of(format!("{place}\0{nth}").as_bytes()).0, of_cut(cut));
        *nth += 1;
        notice.readdress(NoticeId::from_uuid(draw.uuid()));
    }
}

/// The time in a cut's id.
fn of_cut(cut: CutId) -> Timestamp {
    let (s, ns) = cut.as_uuid().get_timestamp().map_or((0, 0), |time| time.to_unix());
    let ms = i64::try_from(s).unwrap_or(0).saturating_mul(1000);
    Timestamp::from_unix_ms(ms.saturating_add(i64::from(ns / 1_000_000)))
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
