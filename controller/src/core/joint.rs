//! Joint notices: a customer whose systems are cut by one act, or connected again by one, gets one
//! notice over each channel, which lists them.
//!
//! ```text
//! each tenant's own notices ─join→ one for each customer and channel, armed
//!   armed ─something is known of one system→ its text anew; out when all is known, or 500 ms later
//!   out   ─something is known of one system→ a correction, armed for 3 s, which gathers the rest
//! ```
//! A channel of which only one of the systems has need keeps that tenant's own notice; so do a
//! drill, which is none in earnest, and contacts that were replaced, who are told by whom. Each
//! tenant's cut knows a joint notice by its id, and a correction by the id of the notice that it
//! follows: a delivery of either counts for every tenant in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    channel::{Channel, Grade},
    digest::Digest,
    id::{CutId, NoticeId, TenantId},
    time::Timestamp,
    wire::v1::CommitInterval,
};

use super::{
    draw::Draw,
    letter::{self, Letters},
    lifecycle::{CutKind, Effect, Transition},
    notice::{ARMED_MS, Notice, NoticeKind, NoticeState},
    tenant::{Cut, CutEnd, Tenant},
};

/// Once something is known of one system, a joint notice waits so long for the others, ms.
pub const GATHER_MS: i64 = 500;

/// What makes a notice a joint one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joint {
    /// Whose systems these are.
    pub customer: String,
    /// When the act was ordered; real clock.
    pub ordered_at: Timestamp,
    /// The systems, in the order in which they were named.
    pub parts: Vec<Part>,
    /// The notice that this one corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<NoticeId>,
}

/// One system of a joint notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which cut of it.
    pub cut: CutId,
    /// That cut's number.
    pub number: u32,
    /// Whether it was an emergency.
    pub kind: CutKind,
    /// Why it was cut, in the operator's words.
    pub reason: String,
    /// The system's name.
    pub system: String,
    /// The system's short code.
    pub code: String,
    /// Whether a contact of this tenant designated the channel.
    pub designated: bool,
    /// What is said of it.
    pub said: Said,
    /// A person of the customer has acknowledged this cut: for it the notice need not go out.
    #[serde(default)]
    pub known: bool,
}

/// What a joint notice says of one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Said {
    /// A cut is ordered; its instant is not known yet.
    CutOrdered,
    /// The traffic is cut.
    Cut {
        /// Since when.
        t0: CommitInterval,
        /// Until when the customer has to know, if a rule says so.
        notify_by: Option<Timestamp>,
    },
    /// The cut did not happen.
    NotCut {
        /// The hosts' words.
        reason: String,
    },
    /// The end of the cut is ordered.
    RestoreOrdered,
    /// The traffic passes again.
    Restored {
        /// Since when.
        at: Option<Timestamp>,
    },
}

impl Said {
    /// What is known of a tenant's last cut, for a notice of this kind.
    #[must_use]
    pub fn of(tenant: &Tenant, kind: NoticeKind) -> Self {
        let cut = tenant.last_cut();
        if kind == NoticeKind::Restored {
            return match cut.map(|cut| &cut.end) {
                Some(CutEnd::Restored { at, .. })
                    if tenant.isolation == super::tenant::Isolation::Connected =>
                {
                    Self::Restored { at: *at }
                }
                _ => Self::RestoreOrdered,
            };
        }
        match cut {
            Some(Cut { end: CutEnd::Void { reason }, .. }) => {
                Self::NotCut { reason: reason.clone() }
            }
            Some(cut) => cut
                .t0
                .map_or(Self::CutOrdered, |t0| Self::Cut { t0, notify_by: tenant.notify_by(cut) }),
            None => Self::CutOrdered,
        }
    }

    /// Whether more is to come.
    const fn is_open(&self) -> bool {
        matches!(self, Self::CutOrdered | Self::RestoreOrdered)
    }
}

impl Part {
    fn of(tenant: &Tenant, kind: NoticeKind, designated: bool) -> Option<Self> {
        let (cut, system) = (tenant.last_cut()?, &tenant.application.system);
        Some(Self {
            tenant: tenant.id,
            cut: cut.id,
            number: cut.number,
            kind: cut.kind,
            reason: cut.reason.clone(),
            system: system.name.clone(),
            code: system.code.clone(),
            designated,
            said: Said::of(tenant, kind),
            known: false,
        })
    }

    /// What a delivery of this grade proves to this tenant's customer.
    #[must_use]
    pub fn grade(&self, grade: Grade) -> Grade {
        if self.designated { grade } else { grade.min(Grade::E1) }
    }
}

/// Joins the armed notices of this kind that transitions of several tenants have for one customer
/// and one channel. `address` tells channels apart.
pub fn join(
    transitions: &mut [Transition],
    kind: NoticeKind,
    address: impl Fn(&Channel) -> Digest,
    (letters, real_now): (&Letters, Timestamp),
    draw: &mut Draw,
) {
    let mut channels: BTreeMap<(String, Digest), Vec<(usize, Notice)>> = BTreeMap::new();
    for (place, transition) in transitions.iter().enumerate() {
        let Some(cut) = transition.tenant.last_cut() else { continue };
        if cut.kind == CutKind::Drill {
            continue;
        }
        let customer = &transition.tenant.application.customer;
        for effect in &transition.effects {
            if let Effect::Arm(notice) = effect
                && notice.kind == kind
                && !cut.former.contains(&notice.id)
            {
                let key = (customer.clone(), address(&notice.channel));
                channels.entry(key).or_default().push((place, notice.as_ref().clone()));
            }
        }
    }
    for ((customer, _), own) in channels {
        let Some((first, notice)) = own.first().filter(|(first, _)| {
            // Two contacts of one tenant may share an address: that is no joint notice.
            own.iter().any(|(place, _)| place != first)
        }) else {
            continue;
        };
        let mut parts: Vec<Part> = Vec::new();
        for (place, notice) in &own {
            let tenant = &transitions[*place].tenant;
            match parts.iter_mut().find(|part| part.tenant == tenant.id) {
                Some(part) => part.designated |= notice.designated,
                None => parts.extend(Part::of(tenant, kind, notice.designated)),
            }
        }
        let joint = Joint { customer, ordered_at: real_now, parts, follows: None };
        let id = NoticeId::from_uuid(draw.uuid());
        let joint = Notice::joint(id, kind, notice, joint, (letters, real_now));
        let (first, replaced) = (*first, own.iter().map(|(place, old)| (*place, old.id)));
        for (place, old) in replaced {
            replace(&mut transitions[place], old, id);
        }
        transitions[first].effects.insert(0, Effect::Arm(Box::new(joint)));
    }
}

/// A tenant has a joint notice instead of its own.
fn replace(transition: &mut Transition, own: NoticeId, joint: NoticeId) {
    let is_own = |effect: &Effect| matches!(effect, Effect::Arm(notice) if notice.id == own);
    transition.effects.retain(|effect| !is_own(effect));
    let Some(cut) = transition.tenant.cuts.last_mut() else { return };
    let of_restore = match &mut cut.end {
        CutEnd::Restored { notices, .. } => Some(notices),
        CutEnd::Open | CutEnd::Void { .. } => None,
    };
    for notices in [Some(&mut cut.notices), of_restore].into_iter().flatten() {
        let known = notices.contains(&joint);
        if let Some(place) = notices.iter().position(|id| *id == own) {
            if known {
                notices.remove(place);
            } else {
                notices[place] = joint;
            }
        }
    }
}

impl Notice {
    /// A joint notice, armed, to where `like` goes.
    #[must_use]
    pub fn joint(
        id: NoticeId,
        kind: NoticeKind,
        like: &Self,
        joint: Joint,
        (letters, real_now): (&Letters, Timestamp),
    ) -> Self {
        let mut notice = Self {
            id,
            tenant: None,
            cut: None,
            kind,
            contact: like.contact.clone(),
            channel: like.channel.clone(),
            designated: joint.parts.iter().any(|part| part.designated),
            subject: String::new(),
            body: String::new(),
            payload: String::new(),
            state: NoticeState::Armed { release_at: real_now.plus_ms(ARMED_MS) },
            tries: Vec::new(),
            joint: Some(Box::new(joint)),
        };
        letter::write_joint(&mut notice, letters, real_now);
        notice
    }

    /// Whether it tells of this cut.
    #[must_use]
    pub fn is_about(&self, cut: CutId) -> bool {
        self.cut == Some(cut) || self.parts().iter().any(|part| part.cut == cut)
    }

    /// Whether its channel is the system that the customer designated for news of this cut.
    #[must_use]
    pub fn is_designated(&self, cut: CutId) -> bool {
        let part = self.parts().iter().find(|part| part.cut == cut);
        part.map_or(self.designated, |part| part.designated)
    }

    /// The systems of a joint notice; none of another.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        self.joint.as_ref().map_or(&[], |joint| &joint.parts)
    }

    /// The id by which the tenants' cuts know it.
    #[must_use]
    pub fn known_as(&self) -> NoticeId {
        self.joint.as_ref().and_then(|joint| joint.follows).unwrap_or(self.id)
    }

    /// Says what is known now of a system, in a joint notice that is armed and was not tried.
    pub fn say(&mut self, part: Part, letters: &Letters, real_now: Timestamp) {
        let (Some(joint), NoticeState::Armed { release_at }) = (&mut self.joint, &self.state)
        else {
            return;
        };
        let release_at = *release_at;
        match joint.parts.iter_mut().find(|known| known.tenant == part.tenant) {
            Some(known) => known.said = part.said,
            None => joint.parts.push(part),
        }
        let correction = joint.follows.is_some();
        let mut said = joint.parts.iter().map(|part| &part.said);
        self.designated = joint.parts.iter().any(|part| part.designated);
        self.state = if correction {
            NoticeState::Armed { release_at }
        } else if said.clone().all(|said| matches!(said, Said::NotCut { .. })) {
            NoticeState::Void { reason: "none of the cuts was made".to_owned() }
        } else {
            let wait_ms = if said.any(Said::is_open) { GATHER_MS } else { 0 };
            NoticeState::Armed { release_at: release_at.min(real_now.plus_ms(wait_ms)) }
        };
        letter::write_joint(self, letters, real_now);
    }

    /// The correction that follows a joint notice which went out already.
    #[must_use]
    pub fn correction(
        &self,
        id: NoticeId,
        kind: NoticeKind,
        part: Part,
        of: (&Letters, Timestamp),
    ) -> Option<Self> {
        self.following(id, kind, vec![part], of)
    }

    /// The correction of a joint notice that is void since none of its cuts was made; nothing of
    /// another notice.
    #[must_use]
    pub fn correction_of_void(&self, id: NoticeId, of: (&Letters, Timestamp)) -> Option<Self> {
        let not_cut = |part: &&Part| matches!(part.said, Said::NotCut { .. });
        let parts: Vec<Part> = self.parts().iter().filter(not_cut).cloned().collect();
        let any = !parts.is_empty();
        any.then(|| self.following(id, NoticeKind::CutCorrection, parts, of)).flatten()
    }

    fn following(
        &self,
        id: NoticeId,
        kind: NoticeKind,
        parts: Vec<Part>,
        of: (&Letters, Timestamp),
    ) -> Option<Self> {
        let joint = self.joint.as_ref()?;
        let (customer, follows) = (joint.customer.clone(), Some(self.id));
        let joint = Joint { customer, ordered_at: joint.ordered_at, parts, follows };
        Some(Self::joint(id, kind, self, joint, of))
    }

    /// The part of a tenant, with what is known of it now.
    #[must_use]
    pub fn part_now(&self, tenant: &Tenant) -> Option<Part> {
        let known = self.parts().iter().find(|part| part.tenant == tenant.id)?;
        Some(Part { said: Said::of(tenant, self.kind), ..known.clone() })
    }

    /// Marks it known to the customer for this tenant; says whether it need go out for none now.
    pub fn know_for(&mut self, tenant: TenantId) -> bool {
        let parts = self.joint.as_mut().map_or(&mut [][..], |joint| &mut joint.parts);
        for part in parts.iter_mut().filter(|part| part.tenant == tenant) {
            part.known = true;
        }
        parts.iter().all(|part| part.known || matches!(part.said, Said::NotCut { .. }))
    }
}

#[cfg(test)]
#[path = "joint_tests.rs"]
mod tests;
