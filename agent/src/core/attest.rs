//! Statements from facts. Nothing is concluded here: conclusions are computed by the predicates
//! themselves, from what was measured.

use tenure_protocol::{
    digest::Digest,
    evidence::{
        predicate::{
            AgentIdentity, Clock, Configuration, LocalOrder, NetworkCut, NotMeasured, Origin,
            Predicate, Run, Wipe, WipeAccount, WipeIntent, WipeResult,
            configuration::{ConfigurationMeasured, InstanceMeasured},
            cut_proof::CutProof,
            media_wipe::FileSystemKind,
            network_cut::{Direction, NetworkCutMeasured, SealMeasured},
            wipe::Claimed,
        },
        statement::Statement,
    },
    id::HostId,
    time::Timestamp,
    wire::v1::{
        CommitInterval, CutOrder, InstanceWanted, Order, Power, TenantWanted, WipeOrder,
        WipeSubject,
    },
};

use super::{observed::Observed, step::WipeFacts};

/// Who states, with which clock, on which order.
#[must_use]
pub fn origin(
    order: &Order,
    digest: Digest,
    host: HostId,
    agent: AgentIdentity,
    clock: Clock,
) -> Origin {
    let order_ref = tenure_protocol::evidence::predicate::OrderRef { id: order.id, digest };
    Origin { order: order_ref, tenant: order.tenant, host, agent, clock }
}

/// Which run of a wipe this is.
#[must_use]
pub fn run(wipe: &WipeOrder, supersedes: Option<Digest>) -> Run {
    Run {
        attempt: wipe.attempt,
        nonce: Digest::of(&wipe.nonce),
        approvals: wipe.approvals.clone(),
        supersedes,
    }
}

/// What is about to be destroyed.
#[must_use]
pub fn intent(origin: Origin, run: Run, at: Timestamp, subjects: &[WipeSubject]) -> Statement {
    let targets = subjects.iter().copied().map(Into::into).collect();
    Statement::new(Predicate::WipeIntent(WipeIntent { origin, run, at, targets }))
}

/// Whether a subject with these facts is gone, its file's unlinking taken for granted.
#[must_use]
pub fn passes(facts: &WipeFacts) -> bool {
    use tenure_protocol::evidence::predicate::Measured as _;
    // The controller accepts nothing less, so nothing less may unlink what another attempt needs.
    let good = |result| result == WipeResult::Pass;
    match unlinked(facts.clone()) {
        WipeFacts::Volume { media, key, .. } => {
            good(media.conclude().result) && good(key.conclude().result)
        }
        WipeFacts::Memory { memory, .. } => good(memory.conclude().result),
    }
}

/// The facts once the file is unlinked; a device stays.
#[must_use]
pub fn unlinked(mut facts: WipeFacts) -> WipeFacts {
    match &mut facts {
        WipeFacts::Volume { media, .. } => {
            media.unlinked = media.file_system.kind != FileSystemKind::None;
        }
        WipeFacts::Memory { memory, .. } => memory.unlinked = true,
    }
    facts
}

/// The statements on one subject: of a volume its blocks and its keys, of memory one.
#[must_use]
pub fn wiped(
    origin: &Origin,
    run: &Run,
    intent: Digest,
    subject: WipeSubject,
    claimed_bytes: u64,
    facts: WipeFacts,
) -> Vec<Statement> {
    let claimed = Claimed { size_bytes: claimed_bytes };
    let (origin, run, target) = (origin.clone(), run.clone(), subject.into());
    match facts {
        WipeFacts::Volume { media, key, device_reported, not_measured } => {
            let key = WipeAccount {
                origin: origin.clone(),
                run: run.clone(),
                intent,
                target,
                measured: key,
                device_reported: Vec::new(),
                claimed,
                not_measured: Vec::new(),
            };
            let measured = *media;
            let media = WipeAccount {
                origin,
                run,
                intent,
                target,
                measured,
                device_reported,
                claimed,
                not_measured,
            };
            vec![
                Statement::new(Predicate::MediaWipe(Wipe::new(media))),
                Statement::new(Predicate::KeyErasure(Wipe::new(key))),
            ]
        }
        WipeFacts::Memory { memory: measured, not_measured } => {
            let device_reported = Vec::new();
            vec![Statement::new(Predicate::MemoryWipe(Wipe::new(WipeAccount {
                origin,
                run,
                intent,
                target,
                measured,
                device_reported,
                claimed,
                not_measured,
            })))]
        }
    }
}

/// Bytes that the wanted state gave to a subject.
#[must_use]
pub fn claimed_bytes(wanted: &TenantWanted, subject: WipeSubject) -> u64 {
    let of = |id| wanted.instances.iter().find(|instance| instance.instance == id);
    match subject {
        WipeSubject::Memory { instance } => of(instance).map_or(0, memory_bytes),
        WipeSubject::Volume { instance, volume } => of(instance)
            .and_then(|instance| instance.volumes.iter().find(|one| one.volume == volume))
            .map_or(0, |volume| volume.size_bytes),
    }
}

/// What a host runs for a tenant.
#[must_use]
pub fn configuration(
    origin: Origin,
    order: &Order,
    wanted: &TenantWanted,
    observed: &Observed,
    at: Timestamp,
) -> Statement {
    let instances = wanted
        .instances
        .iter()
        .map(|instance| InstanceMeasured {
            instance: instance.instance,
            running: observed.instances.get(&instance.instance) == Some(&Power::Running),
            vcpus: instance.vcpus,
            memory_bytes: memory_bytes(instance),
            volume_bytes: instance.volumes.iter().map(|volume| volume.size_bytes).sum(),
        })
        .collect();
    let ruleset = observed.policy.unwrap_or_else(|| Digest::of(b""));
    Statement::new(Predicate::Configuration(Configuration {
        origin,
        generation: order.generation,
        measured: ConfigurationMeasured { at, instances, ruleset },
        not_measured: vec![NotMeasured {
            what: "sizes inside the guests".to_owned(),
            reason: "processors, memory and volumes are as they were given to the machines"
                .to_owned(),
        }],
    }))
}

/// What was measured of a cut beside its commit. What was not comes with the reason, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Whether the kernel, asked again, has the mark among those that are cut.
    pub cut_read_back: Option<bool>,
    /// Its second stage.
    pub seal: Result<SealMeasured, String>,
    /// Of a cut, whether it holds; a restore has none.
    pub proof: Option<Result<CutProof, String>>,
}

/// A cut, or the end of one; `local` says who ordered it, if no controller did.
#[must_use]
pub fn network_cut(
    origin: Origin,
    cut: &CutOrder,
    direction: Direction,
    interval: CommitInterval,
    beside: Beside,
    local: Option<LocalOrder>,
) -> Statement {
    let mut not_measured = Vec::new();
    let mut missing = |what: &str, reason: String| {
        not_measured.push(NotMeasured { what: what.to_owned(), reason });
    };
    let Beside { cut_read_back, seal, proof } = beside;
    let proof = match proof {
        Some(Ok(proof)) => Some(proof),
        Some(Err(reason)) => {
            missing(WIRE, reason);
            None
        }
        None => {
            let reason = "the kernel's packet filter was read back; no frames were sent to try it";
            missing(WIRE, reason.to_owned());
            None
        }
    };
    let seal = match seal {
        Ok(seal) => Some(seal),
        Err(reason) => {
            let what = "the second stage, at the taps themselves: LLDP to the host's own daemons, \
                        frames put on a tap past its bridge";
            missing(what, reason);
            None
        }
    };
    let measured = NetworkCutMeasured {
        mark: cut.mark.0,
        earliest: interval.earliest,
        latest: interval.latest,
        took_ns: interval.took_ns,
        cut_read_back,
        seal,
        proof,
    };
    let mut predicate = NetworkCut::new(origin, cut.cut, direction, measured, not_measured);
    if let Some(local) = local {
        predicate = predicate.ordered_locally(local);
    }
    Statement::new(Predicate::NetworkCut(predicate))
}

/// What a read-back of the packet filter leaves open.
const WIRE: &str = "frames on the wire";

fn memory_bytes(instance: &InstanceWanted) -> u64 {
    u64::from(instance.memory_mib) * 1024 * 1024
}
