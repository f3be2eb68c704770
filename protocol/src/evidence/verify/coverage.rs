//! Whether all that a tenant had was announced, approved and destroyed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Findings, Opened, chain::Chain};
use crate::{
    digest::Digest,
    evidence::{
        entry::WIPE_APPROVAL,
        predicate::{
            Kind, Origin, Predicate, Run, Target, TenantExit, WipeIntent, WipeResult,
            tenant_exit::InventoryItem,
        },
    },
};

/// Persons who must have approved a wipe.
const APPROVALS: usize = 2;

/// The parts of a wipe's attestation that tie it to its intent.
struct Tie<'a> {
    origin: &'a Origin,
    run: &'a Run,
    intent: &'a Digest,
    target: &'a Target,
}

const fn tie(predicate: &Predicate) -> Option<Tie<'_>> {
    match predicate {
        Predicate::MediaWipe(wipe) => Some(Tie {
            origin: &wipe.origin,
            run: &wipe.run,
            intent: &wipe.intent,
            target: &wipe.target,
        }),
        Predicate::MemoryWipe(wipe) => Some(Tie {
            origin: &wipe.origin,
            run: &wipe.run,
            intent: &wipe.intent,
            target: &wipe.target,
        }),
        Predicate::KeyErasure(wipe) => Some(Tie {
            origin: &wipe.origin,
            run: &wipe.run,
            intent: &wipe.intent,
            target: &wipe.target,
        }),
        Predicate::WipeIntent(_)
        | Predicate::NetworkCut(_)
        | Predicate::Notification(_)
        | Predicate::Configuration(_)
        | Predicate::TenantExit(_)
        | Predicate::DeviceSanitizeIntent(_)
        | Predicate::DeviceSanitize(_) => None,
    }
}

/// Each wipe follows its own intent in the ledger, each intent its approvals.
pub(super) fn check_intents(opened: &[Opened<'_>], chain: &Chain, findings: &mut Findings) {
    let mut intents: BTreeMap<Digest, &WipeIntent> = BTreeMap::new();
    for envelope in opened {
        if let Predicate::WipeIntent(intent) = envelope.statement.predicate() {
            intents.insert(envelope.listed.digest, intent);
            let approved = approvals(&envelope.listed.digest, intent, chain);
            let ok = approved.is_ok();
            let sentence =
                approved.err().unwrap_or("two different persons approved before it").to_owned();
            findings.push(Code::Approvals, &envelope.listed.path, ok, sentence);
        }
    }
    for envelope in opened {
        let Some(tie) = tie(envelope.statement.predicate()) else { continue };
        let place = chain.find(&envelope.listed.digest, envelope.listed.kind.name());
        let announced = match intents.get(tie.intent) {
            None => Err("its intent is not in the bundle"),
            Some(intent) if !belongs(intent, &tie) => Err("it is not what its intent announced"),
            Some(_) => match (chain.find(tie.intent, Kind::WipeIntent.name()), place) {
                (Some((intent, _)), Some((wipe, _))) if intent < wipe => Ok(()),
                _ => Err("its intent does not stand before it in the ledger"),
            },
        };
        let ok = announced.is_ok();
        let sentence = announced.err().unwrap_or("announced before it began");
        findings.push(Code::Intent, &envelope.listed.path, ok, sentence);
    }
}

/// The statements that tell what became of a target.
const fn needed(target: &Target) -> &'static [Kind] {
    match target {
        Target::Volume { .. } => &[Kind::MediaWipe, Kind::KeyErasure],
        Target::Memory { .. } => &[Kind::MemoryWipe],
    }
}

/// Each intent has an end: what it announced is stated later, by it or by a later attempt. An
/// intent without one is a run whose outcome is held back, or was never told.
pub(super) fn check_ends(opened: &[Opened<'_>], chain: &Chain, findings: &mut Findings) {
    let mut last: BTreeMap<(Kind, InventoryItem), u64> = BTreeMap::new();
    for envelope in opened {
        let Some(tie) = tie(envelope.statement.predicate()) else { continue };
        let kind = envelope.listed.kind;
        let Some((index, _)) = chain.find(&envelope.listed.digest, kind.name()) else { continue };
        let item = InventoryItem { host: tie.origin.host, target: *tie.target };
        let place = last.entry((kind, item)).or_insert(index);
        *place = index.max(*place);
    }
    for envelope in opened {
        let Predicate::WipeIntent(intent) = envelope.statement.predicate() else { continue };
        let announced = chain.find(&envelope.listed.digest, Kind::WipeIntent.name());
        let Some((announced, _)) = announced else { continue };
        let mut open = Vec::new();
        for &target in &intent.targets {
            let item = InventoryItem { host: intent.origin.host, target };
            let is_later = |kind: &Kind| last.get(&(*kind, item)).is_some_and(|at| announced < *at);
            if !needed(&target).iter().all(is_later) {
                open.push(target.name());
            }
        }
        let sentence = if open.is_empty() {
            "what became of all that it announced is stated after it".to_owned()
        } else {
            format!("nothing stated after it tells what became of {}", open.join(", "))
        };
        findings.push(Code::Intent, &envelope.listed.path, open.is_empty(), sentence);
    }
}

fn belongs(intent: &WipeIntent, tie: &Tie<'_>) -> bool {
    intent.origin.order == tie.origin.order
        && intent.origin.host == tie.origin.host
        && intent.run == *tie.run
        && intent.targets.contains(tie.target)
}

fn approvals(envelope: &Digest, intent: &WipeIntent, chain: &Chain) -> Result<(), &'static str> {
    let (announced, _) =
        chain.find(envelope, Kind::WipeIntent.name()).ok_or("the intent is not in the ledger")?;
    let mut persons = BTreeSet::new();
    for approval in &intent.run.approvals {
        let (index, entry) = chain
            .find(approval, WIPE_APPROVAL)
            .ok_or("an approval that it names is not in the ledger")?;
        if index >= announced {
            return Err("an approval came after it");
        }
        persons.insert(entry.actor_keyid);
    }
    if persons.len() >= APPROVALS { Ok(()) } else { Err("fewer than two persons approved it") }
}

/// The inventory is covered by passes, and nothing else was announced or seen.
pub(super) fn check_inventory(
    manifest: &TenantExit,
    opened: &[Opened<'_>],
    findings: &mut Findings,
) {
    let inventory: BTreeSet<InventoryItem> = manifest.inventory.iter().copied().collect();
    if inventory.is_empty() {
        findings.push(Code::Coverage, "inventory", false, "the manifest names nothing");
    }
    let mut passed: BTreeSet<(Kind, InventoryItem)> = BTreeSet::new();
    let mut seen: BTreeSet<InventoryItem> = BTreeSet::new();
    for envelope in opened {
        let predicate = envelope.statement.predicate();
        if let Some(tie) = tie(predicate) {
            let item = InventoryItem { host: tie.origin.host, target: *tie.target };
            seen.insert(item);
            if predicate.wipe_result() == Some(WipeResult::Pass) && is_whole(predicate) {
                passed.insert((predicate.kind(), item));
            }
        }
        seen.extend(seen_by_host(predicate));
    }
    for item in &inventory {
        for &kind in needed(&item.target) {
            let ok = passed.contains(&(kind, *item));
            let end = if ok { "passed" } else { "is not there, or is no pass over all of it" };
            let sentence = format!("its {} on host {} {end}", kind.name(), item.host);
            findings.push(Code::Coverage, &item.target.name(), ok, sentence);
        }
    }
    for item in seen.difference(&inventory) {
        let sentence = format!("host {} had it, but the inventory does not name it", item.host);
        findings.push(Code::Coverage, &item.target.name(), false, sentence);
    }
}

/// Whether as much was destroyed as the tenant was given. A volume's file also holds the header of
/// its encryption, so that it is larger than the volume; a claim of nothing proves nothing.
const fn is_whole(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::MediaWipe(wipe) => {
            let claimed = wipe.claimed.size_bytes;
            claimed > 0 && wipe.measured.file_bytes >= claimed
        }
        Predicate::WipeIntent(_)
        | Predicate::MemoryWipe(_)
        | Predicate::KeyErasure(_)
        | Predicate::NetworkCut(_)
        | Predicate::Notification(_)
        | Predicate::Configuration(_)
        | Predicate::TenantExit(_)
        | Predicate::DeviceSanitizeIntent(_)
        | Predicate::DeviceSanitize(_) => true,
    }
}

/// What a host states to have had, beside wipes.
fn seen_by_host(predicate: &Predicate) -> Vec<InventoryItem> {
    match predicate {
        Predicate::WipeIntent(intent) => {
            let host = intent.origin.host;
            intent.targets.iter().map(|&target| InventoryItem { host, target }).collect()
        }
        Predicate::Configuration(configuration) => {
            let host = configuration.origin.host;
            let memory = |instance| InventoryItem { host, target: Target::Memory { instance } };
            let instances = &configuration.measured.instances;
            instances.iter().map(|one| memory(one.instance)).collect()
        }
        Predicate::MediaWipe(_)
        | Predicate::MemoryWipe(_)
        | Predicate::KeyErasure(_)
        | Predicate::NetworkCut(_)
        | Predicate::Notification(_)
        | Predicate::TenantExit(_)
        | Predicate::DeviceSanitizeIntent(_)
        | Predicate::DeviceSanitize(_) => Vec::new(),
    }
}
