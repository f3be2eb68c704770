//! Admission: whether this host takes an order. One pure function over what the host knows.
//!
//! An order may come late, twice, or after a newer one. Its id and digest say whether it is known,
//! its generation whether it is stale; all else is about safety: nothing is destroyed that the
//! controller does not name, and nothing that it does not know of is left behind in silence.

use std::collections::BTreeSet;

use tenure_protocol::{
    digest::Digest,
    generation::Generation,
    id::HostId,
    time::Timestamp,
    wire::v1::{
        Action, Egress, InstanceWanted, MAX_RULES, Mark, Measure, Nic, Order, PacketRule,
        TenantWanted, Traffic, WHOLE_PERMILLE, WipeOrder, WipeSubject,
    },
};

use super::{
    local,
    record::{Fate, Isolation, OrderRecord, Records, TenantRecord},
};

/// Most things that one order may wipe: their attestations travel in one report.
pub const MAX_SUBJECTS: usize = 64;

/// Most instances that a tenant may have on one host.
pub const MAX_INSTANCES: usize = 64;

/// What the host knows when an order comes.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The host's own id.
    pub host: HostId,
    /// The host's clock.
    pub now: Timestamp,
    /// The journal of the order's lane.
    pub records: &'a Records,
}

/// What to do with an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Journal it and carry it out.
    Accept,
    /// It is known: answer with its present state.
    Known,
    /// Refuse it, and touch nothing.
    Refuse(Refusal),
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names another host.
    #[error("the order is for host {0}: send it there")]
    NotForThisHost(HostId),
    /// Its id was used for other bytes.
    #[error("the order's id was used before with other content: give every order an id of its own")]
    DigestChanged,
    /// It came too late.
    #[error("the order expired at {0} by this host's clock: order again, and compare the clocks")]
    Expired(Timestamp),
    /// A newer or the same generation is in force.
    #[error("generation {got} is not newer than {in_force}, which is in force")]
    StaleGeneration {
        /// The order's.
        got: Generation,
        /// The one in force.
        in_force: Generation,
    },
    /// Nothing of the tenant was ever on this host.
    #[error("nothing of this tenant is known on this host")]
    UnknownTenant,
    /// An order of the tenant that excludes this one is under way.
    #[error("another order of this tenant is under way: wait for its report")]
    TenantBusy,
    /// The tenant's wipe has begun or is over.
    #[error("the tenant is wiped, or being wiped, on this host: nothing can be made for it again")]
    TenantWiped,
    /// The host has more of the tenant than the order names.
    #[error(
        "the host has {0} things of this tenant that the order does not name: compare \
         the inventories"
    )]
    InventoryMismatch(usize),
    /// A wipe that two persons did not approve.
    #[error("a wipe needs the digests of two different approvals")]
    ApprovalsMissing,
    /// A wipe of nothing, of one thing twice, or of too much; or a wanted state of more.
    #[error(
        "a wipe must name 1 to {MAX_SUBJECTS} different things, and a tenant may have no more on \
         one host: count each instance's memory and each volume"
    )]
    SubjectsInvalid,
    /// A mark of 0, of another tenant, or not the tenant's own.
    #[error("mark {0} is 0, another tenant's, or not the one that this tenant has")]
    MarkInvalid(u32),
    /// A restore that was ordered before a person on the host cut the tenant.
    #[error(
        "a person on this host cut the tenant at {0}, after this restore was ordered: order it \
         again if the tenant is to be connected"
    )]
    CutHere(Timestamp),
    /// The wanted state leaves out what the host has.
    #[error(
        "the wanted state leaves out an instance or volume that exists: only a wipe removes them"
    )]
    AllocationMissing,
    /// A volume's size changed.
    #[error("the size of a volume cannot be changed")]
    VolumeResized,
    /// An instance of another tenant.
    #[error("an instance or volume of the wanted state belongs to another tenant")]
    ForeignAllocation,
    /// The wanted state makes no sense.
    #[error("the wanted state is not possible: {0}")]
    WantedInvalid(&'static str),
}

impl Refusal {
    /// Stable code, kebab-case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotForThisHost(_) => "not-for-this-host",
            Self::DigestChanged => "digest-changed",
            Self::Expired(_) => "expired",
            Self::StaleGeneration { .. } => "stale-generation",
            Self::UnknownTenant => "unknown-tenant",
            Self::TenantBusy => "tenant-busy",
            Self::TenantWiped => "tenant-wiped",
            Self::InventoryMismatch(_) => "inventory-mismatch",
            Self::ApprovalsMissing => "approvals-missing",
            Self::SubjectsInvalid => "subjects-invalid",
            Self::MarkInvalid(_) => "mark-invalid",
            Self::CutHere(_) => "cut-here-since",
            Self::AllocationMissing => "allocation-missing",
            Self::VolumeResized => "volume-resized",
            Self::ForeignAllocation => "foreign-allocation",
            Self::WantedInvalid(_) => "wanted-invalid",
        }
    }
}

/// The one place where it is decided whether an order is taken. Its signature was checked before.
#[must_use]
pub fn accept(order: &Order, digest: Digest, standing: &Standing<'_>) -> Admission {
    match standing.records.orders.get(&order.id) {
        Some(OrderRecord { digest: known, .. }) if *known == digest => return Admission::Known,
        Some(_) => return Admission::Refuse(Refusal::DigestChanged),
        None => {}
    }
    match admissible(order, standing) {
        Ok(()) => Admission::Accept,
        Err(refusal) => Admission::Refuse(refusal),
    }
}

/// When an order expires.
#[must_use]
pub fn expires_at(order: &Order) -> Timestamp {
    order.issued_at.plus_ms(i64::try_from(order.ttl_ms).unwrap_or(i64::MAX))
}

/// Everything that `wanted` makes the host allocate.
#[must_use]
pub fn subjects_of(wanted: &TenantWanted) -> BTreeSet<WipeSubject> {
    let mut subjects = BTreeSet::new();
    for instance in &wanted.instances {
        subjects.insert(WipeSubject::Memory { instance: instance.instance });
        for volume in &instance.volumes {
            subjects
                .insert(WipeSubject::Volume { instance: instance.instance, volume: volume.volume });
        }
    }
    subjects
}

fn admissible(order: &Order, standing: &Standing<'_>) -> Result<(), Refusal> {
    if order.host != standing.host {
        return Err(Refusal::NotForThisHost(order.host));
    }
    let expires_at = expires_at(order);
    if standing.now > expires_at {
        return Err(Refusal::Expired(expires_at));
    }
    let tenant = standing.records.tenants.get(&order.tenant);
    match &order.action {
        Action::Cut(cut) | Action::Restore(cut) => isolate(order, cut.mark, standing.records),
        Action::Configure(wanted) => configure(order, wanted, tenant, standing.records),
        Action::Wipe(wipe) => destroy(order, wipe, tenant, standing.records),
    }
}

fn newer(got: Generation, in_force: Generation) -> Result<(), Refusal> {
    if got > in_force { Ok(()) } else { Err(Refusal::StaleGeneration { got, in_force }) }
}

/// A cut is accepted for tenants that the host does not know yet: their taps inherit it.
fn isolate(order: &Order, mark: Mark, records: &Records) -> Result<(), Refusal> {
    if let Some(known) = records.isolations.get(&order.tenant) {
        newer(order.generation, known.generation)?;
        if known.mark != mark {
            return Err(Refusal::MarkInvalid(mark.0));
        }
        // The controller did not know of that cut: a restore of an older one must not end it.
        let cut = local::in_force(records, known).filter(|_| known.isolation == Isolation::Cut);
        if let (Action::Restore(_), Some(cut)) = (&order.action, cut)
            && order.issued_at < cut.given.at
        {
            return Err(Refusal::CutHere(cut.given.at));
        }
    }
    if mark.0 == 0 { Err(Refusal::MarkInvalid(0)) } else { Ok(()) }
}

fn configure(
    order: &Order,
    wanted: &TenantWanted,
    tenant: Option<&TenantRecord>,
    records: &Records,
) -> Result<(), Refusal> {
    let foreign = |other: &&TenantRecord| other.tenant != order.tenant;
    if wanted.mark.0 == 0
        || tenant.is_some_and(|tenant| tenant.wanted.mark != wanted.mark)
        || records.tenants.values().filter(foreign).any(|other| other.wanted.mark == wanted.mark)
    {
        return Err(Refusal::MarkInvalid(wanted.mark.0));
    }
    if let Some(tenant) = tenant {
        match tenant.fate {
            Fate::Destroying | Fate::Destroyed { .. } => return Err(Refusal::TenantWiped),
            Fate::Live => {}
        }
        newer(order.generation, tenant.generation)?;
    }
    if wiping(order, records) {
        return Err(Refusal::TenantBusy);
    }
    possible(wanted)?;
    let subjects = subjects_of(wanted);
    if let Some(tenant) = tenant {
        if tenant.inventory.keys().any(|subject| !subjects.contains(subject)) {
            return Err(Refusal::AllocationMissing);
        }
        if resized(&tenant.wanted, wanted) {
            return Err(Refusal::VolumeResized);
        }
    }
    let taken = ids(records
        .tenants
        .values()
        .filter(foreign)
        .flat_map(|other| subjects_of(&other.wanted).into_iter().collect::<Vec<_>>()));
    if ids(subjects).iter().any(|id| taken.contains(id)) {
        return Err(Refusal::ForeignAllocation);
    }
    Ok(())
}

fn destroy(
    order: &Order,
    wipe: &WipeOrder,
    tenant: Option<&TenantRecord>,
    records: &Records,
) -> Result<(), Refusal> {
    let tenant = tenant.ok_or(Refusal::UnknownTenant)?;
    if matches!(tenant.fate, Fate::Destroyed { .. }) {
        return Err(Refusal::TenantWiped);
    }
    newer(order.generation, tenant.generation)?;
    if wiping(order, records) || configuring(order, records) {
        return Err(Refusal::TenantBusy);
    }
    let named: BTreeSet<WipeSubject> = wipe.subjects.iter().copied().collect();
    if named.is_empty() || named.len() != wipe.subjects.len() || named.len() > MAX_SUBJECTS {
        return Err(Refusal::SubjectsInvalid);
    }
    // Things of another tenant may never be named: this tenant's approvals do not cover them.
    let foreign = records.tenants.values().filter(|other| other.tenant != order.tenant);
    let taken = ids(foreign.flat_map(|other| other.inventory.keys().copied().collect::<Vec<_>>()));
    if ids(named.iter().copied()).iter().any(|id| taken.contains(id)) {
        return Err(Refusal::ForeignAllocation);
    }
    let unnamed = tenant.inventory.keys().filter(|subject| !named.contains(subject)).count();
    if unnamed > 0 {
        return Err(Refusal::InventoryMismatch(unnamed));
    }
    let approvals: BTreeSet<Digest> = wipe.approvals.iter().copied().collect();
    if approvals.len() < 2 {
        return Err(Refusal::ApprovalsMissing);
    }
    Ok(())
}

/// Instances and volumes of subjects, whatever they are a part of.
fn ids(subjects: impl IntoIterator<Item = WipeSubject>) -> BTreeSet<String> {
    subjects
        .into_iter()
        .map(|subject| match subject {
            WipeSubject::Volume { volume, .. } => volume.to_string(),
            WipeSubject::Memory { instance } => instance.to_string(),
        })
        .collect()
}

fn wiping(order: &Order, records: &Records) -> bool {
    records.wipes.keys().any(|id| unfinished_of(order, *id, records))
}

fn configuring(order: &Order, records: &Records) -> bool {
    records
        .unfinished()
        .into_iter()
        .any(|id| !records.wipes.contains_key(&id) && unfinished_of(order, id, records))
}

fn unfinished_of(order: &Order, id: tenure_protocol::id::OrderId, records: &Records) -> bool {
    records.orders.get(&id).is_some_and(|record| {
        record.stage == super::record::OrderStage::Accepted && record.tenant == order.tenant
    })
}

fn resized(before: &TenantWanted, after: &TenantWanted) -> bool {
    let sizes = |wanted: &TenantWanted| {
        wanted
            .instances
            .iter()
            .flat_map(|instance| instance.volumes.iter().map(|v| (v.volume, v.size_bytes)))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let after = sizes(after);
    sizes(before).iter().any(|(volume, size)| after.get(volume).is_some_and(|new| new != size))
}

fn possible(wanted: &TenantWanted) -> Result<(), Refusal> {
    let invalid = |reason| Err(Refusal::WantedInvalid(reason));
    if wanted.instances.len() > MAX_INSTANCES {
        return invalid("more than 64 instances of one tenant on one host");
    }
    // What one order may set up, one order must be able to wipe.
    if subjects_of(wanted).len() > MAX_SUBJECTS {
        return Err(Refusal::SubjectsInvalid);
    }
    if wanted.network.prefix > 30 {
        return invalid("a network's prefix is 30 at most");
    }
    let thresholds = &wanted.thresholds;
    if Measure::ALL.iter().any(|measure| thresholds.of(*measure) == 0)
        || thresholds.steal_permille > WHOLE_PERMILLE
    {
        return invalid("a threshold is 0, or more than 1,000 thousandths");
    }
    let mut ids = BTreeSet::new();
    let mut taps = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for instance in &wanted.instances {
        possible_instance(instance)?;
        // Names of taps have room for 8 digits of the id: two of one name would be one port.
        if !ids.insert(*instance.instance.as_uuid()) || !taps.insert(instance.instance.short()) {
            return invalid("two instances with one id");
        }
        if !addresses.insert(instance.nic.ip4) || !addresses_fit(wanted, instance) {
            return invalid("an address is used twice or lies outside the tenant's network");
        }
        for volume in &instance.volumes {
            if !ids.insert(*volume.volume.as_uuid()) {
                return invalid("two volumes with one id");
            }
        }
    }
    Ok(())
}

fn addresses_fit(wanted: &TenantWanted, instance: &InstanceWanted) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(wanted.network.prefix)).unwrap_or(0);
    let network = u32::from_be_bytes(wanted.network.address);
    u32::from_be_bytes(instance.nic.ip4) & mask == network & mask
        && instance.nic.ip4 != wanted.network.gateway
}

fn possible_instance(instance: &InstanceWanted) -> Result<(), Refusal> {
    let invalid = |reason| Err(Refusal::WantedInvalid(reason));
    let name = instance.name.as_bytes();
    let label = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if name.is_empty()
        || name.len() > 63
        || !name.iter().all(label)
        || name.starts_with(b"-")
        || name.ends_with(b"-")
    {
        return invalid("an instance's name is no DNS label");
    }
    if !(1..=64).contains(&instance.vcpus) {
        return invalid("an instance has 1 to 64 virtual processors");
    }
    if instance.memory_mib < 64 {
        return invalid("an instance has 64 MiB of memory at least");
    }
    if instance.boot.cmdline.len() > 1024 || instance.boot.cmdline.contains(['\n', '\0']) {
        return invalid("a kernel's command line is one line of 1,024 bytes at most");
    }
    if instance.volumes.len() > 16 {
        return invalid("an instance has 16 volumes at most");
    }
    if instance
        .volumes
        .iter()
        .any(|volume| volume.size_bytes == 0 || !volume.size_bytes.is_multiple_of(1024 * 1024))
    {
        return invalid("a volume's size is a multiple of 1 MiB, and not 0");
    }
    if instance.nic.mac[0] & 0b11 != 0b10 {
        return invalid("a network card's address is locally administered and unicast");
    }
    possible_rules(&instance.nic)
}

/// What nft would refuse, and the policy of the whole host with it.
fn possible_rules(nic: &Nic) -> Result<(), Refusal> {
    let invalid = |reason| Err(Refusal::WantedInvalid(reason));
    let egress = match &nic.egress {
        Egress::Everything => &[][..],
        Egress::Only(rules) => rules,
    };
    if nic.ingress.len().saturating_add(egress.len()) > MAX_RULES {
        return invalid("more than 512 rules for one network card");
    }
    for rule in nic.ingress.iter().chain(egress) {
        if let Traffic::Ports { first, last, .. } = rule.traffic
            && (first == 0 || last < first)
        {
            return invalid("a rule's ports are from 1 on, the first before the last");
        }
        if rule.peers.last < rule.peers.first {
            return invalid("a rule's last address is before its first");
        }
    }
    let overlap = |rules: &[PacketRule]| {
        let pairs = rules.iter().enumerate();
        pairs.into_iter().any(|(at, one)| rules[..at].iter().any(|other| one.overlaps(other)))
    };
    if overlap(&nic.ingress) || overlap(egress) {
        return invalid("two rules of one network card overlap");
    }
    Ok(())
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;
