//! `tenure-hostd sanitize`: has a disk that leaves service erase itself, and states what was seen.
//!
//! A person at the host orders it; no controller, no running tenure-hostd and none of its journals
//! has a part in it, so that a disk which takes a day holds up no cut. One that runs may go on: the
//! disk is claimed for the whole time, and refused before if anything uses it.
//!
//! ```text
//! <state_dir>/sanitize/<disk>/intent-N.json     signed, durable before the first command
//!                             run.json          the run that is open, until its end is stated
//!                             statement-N.json  signed: what was seen
//! ```
//!
//! If the process or the host ends in between, the same command takes the run up again: what is
//! under way is observed to its end, and what nobody can tell of is done again under a new intent.

mod run;

use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::socket::UnixCredentials;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        dsse::EnvelopeError,
        predicate::{
            Conclusion, DeviceOrigin, LocalOrder, Predicate,
            device::{Attempt, DeviceSanitizeIntent},
            device_sanitize::{DeviceSanitize, Sighting, Stop},
        },
        statement::Statement,
    },
};

use self::run::{End, Folder, Record};
use crate::{
    clock,
    config::HostdConfig,
    core::{
        sanitize::{Answer, Course, Plan, Refusal, Survey, Wanted, plan, plan::may_begin},
        step::HostFailure,
    },
    file::FileFailure,
    host::{
        block,
        device::{Claim, DeviceFailure, Disk, Places},
        disk, observe,
        pool::PoolFailure,
        volume::{VolumeFailure, VolumeStore},
    },
    join::{self, JoinFailure},
    operator,
    sign::{HostKey, KeyFailure},
};

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The disk's node.
    pub device: PathBuf,
    /// Its serial number, as the operator knows it.
    pub serial: String,
    /// How.
    pub wanted: Wanted,
    /// Who the operator is.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The serial number once more, if the operator means it.
    pub confirmed: Option<String>,
    /// Whether the operator answers for the other ports of flash that may be shared.
    pub shared_is_ours: bool,
    /// Where else the statement is written.
    pub output: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing was sent: the operator did not say that it is meant.
    NotConfirmed,
    /// The run is over, and stated.
    Stated {
        /// What it amounts to.
        conclusion: Conclusion,
        /// The statement's file.
        path: PathBuf,
    },
}

/// Why a run did not come to a statement.
#[derive(Debug, thiserror::Error)]
pub enum SanitizeFailure {
    /// Not root.
    #[error("only root may send commands to disks")]
    NotRoot,
    /// The words of the order are none.
    #[error("{0}")]
    Words(&'static str),
    /// The host has no id yet.
    #[error("this host has no id yet: start tenure-hostd and tenure-agent once, then try again")]
    NoHost,
    /// The run that is open is not readable.
    #[error("{path} is no record of a run: {reason}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The disk.
    #[error(transparent)]
    Device(#[from] DeviceFailure),
    /// Tenants' volumes cannot be looked for.
    #[error("cannot look for tenants' volumes")]
    Volumes(#[from] VolumeFailure),
    /// What lies under the volumes cannot be looked at.
    #[error("cannot find the disk under {path}")]
    Under {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host's identity.
    #[error(transparent)]
    Join(#[from] JoinFailure),
    /// The host key.
    #[error(transparent)]
    Key(#[from] KeyFailure),
    /// The statement cannot be signed.
    #[error("the statement cannot be signed")]
    Sign(#[from] EnvelopeError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileFailure),
    /// A file cannot be read or removed.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This process does not know itself.
    #[error("{}", .0.sentence)]
    Agent(HostFailure),
}

impl From<Refusal> for SanitizeFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Device(refusal.into())
    }
}

/// The disk as it stands, claimed.
struct Ready {
    disk: Disk,
    survey: Survey,
    claim: Claim,
    folder: Folder,
}

/// Has a disk erase itself, and states what was seen. `tell` is given lines for the operator.
///
/// # Errors
/// [`SanitizeFailure`]: nothing was stated. If a command was sent before, the run is open, and the
/// same request takes it up again.
pub fn sanitize(
    config: &HostdConfig,
    request: &Request,
    tell: &mut dyn FnMut(&str),
) -> Result<Outcome, SanitizeFailure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(SanitizeFailure::NotRoot);
    }
    let key = HostKey::load(&join::key_path(&config.state_dir))?;
    let order = order(request)?;
    let host = join::load_host_id(&config.state_dir)?.ok_or(SanitizeFailure::NoHost)?;
    let ready = examine(config, request)?;
    if let Some(path) = ready.folder.stated()? {
        // The process ended after the statement and before the run was closed.
        tell(&format!("a run before this one was stated in {}: this is a new one", path.display()));
        ready.folder.close()?;
    }
    let open = ready.folder.open_run()?;
    let plan = match &open {
        Some(record) => record.plan_for(request.wanted)?,
        None => plan(&ready.survey, request.wanted)?,
    };
    // Before the look: what is written after it would change what is seen.
    ready.claim.flush()?;
    let (seen, page) = look(&ready.disk, &plan)?;
    announce(&plan, open.is_some(), tell);
    if request.confirmed.as_deref().map(str::trim) != Some(plan.device.serial.as_str()) {
        tell(&format!("nothing was sent; to do it, add: --yes-destroy '{}'", plan.device.serial));
        return Ok(Outcome::NotConfirmed);
    }
    let resumed = open.as_ref().and_then(|record| {
        Course::resume(record.plan.clone(), record.before, seen).map(|course| (record, course))
    });
    let (mut record, mut course, places) = match resumed {
        Some((record, course)) => {
            tell(&format!("attempt {} is taken up again", record.attempt.number));
            let interruptions = record.interruptions + 1;
            (Record { interruptions, ..record.clone() }, course, None)
        }
        None => {
            may_begin(seen.as_ref())?;
            // Its parts may be others than when the run that is open was begun.
            let plan = crate::core::sanitize::plan(&ready.survey, Wanted::Method(plan.method))?;
            let places = ready.disk.sample(&ready.survey).ok();
            let agent = observe::agent_identity().map_err(SanitizeFailure::Agent)?;
            let origin = DeviceOrigin { order, host, agent, clock: clock::quality() };
            let record = intend(&ready, &key, origin, plan, (seen, page))?;
            let course = Course::begin(record.plan.clone(), record.before);
            (record, course, places)
        }
    };
    ready.folder.save(&record)?;
    tell(&format!("intent {} is signed and durable", record.intent));
    let begun = clock::monotonic();
    let stop = run::drive(&ready.disk, &mut course, tell);
    let took = clock::monotonic().saturating_sub(begun);
    record.plan = course.plan().clone();
    let statement = conclude(&ready, &record, &course, (stop, took), places.as_ref());
    let envelope = key.seal(&Statement::new(Predicate::DeviceSanitize(statement.clone())))?;
    let path = ready.folder.state(record.attempt.number, &envelope)?;
    ready.folder.close()?;
    finish(&statement, path, request, tell)
}

fn order(request: &Request) -> Result<LocalOrder, SanitizeFailure> {
    let (login, uid) =
        operator::login(&UnixCredentials::new()).unwrap_or_else(|| ("unknown".to_owned(), 0));
    let (by, reason) = (Some(request.by.clone()), request.reason.clone());
    let order = LocalOrder { login, uid, by, reason, at: clock::now() };
    order.fault().map_or(Ok(order.clone()), |fault| Err(SanitizeFailure::Words(fault)))
}

/// Everything that may refuse the disk, before it is sent anything that changes it.
fn examine(config: &HostdConfig, request: &Request) -> Result<Ready, SanitizeFailure> {
    let disk = Disk::open(&request.device)?;
    let survey = disk.survey()?;
    let device = &survey.device;
    if device.serial != request.serial.trim() {
        let (model, found) = (device.model.clone(), device.serial.clone());
        return Err(Refusal::OtherDisk { model, found, given: request.serial.clone() }.into());
    }
    if survey.is_shared && !request.shared_is_ours {
        let shared = "its controller says that other controllers, maybe of other hosts, reach the \
                      same flash (CMIC), and nobody here sees what they have on it: look there, \
                      then add --shared-is-ours";
        return Err(Refusal::InUse(vec![shared.to_owned()]).into());
    }
    let free = || match tenants(config, disk.devices())? {
        held if held.is_empty() => Ok(()),
        held => Err(SanitizeFailure::from(Refusal::Tenants(held))),
    };
    free()?;
    let claim = disk.claim()?;
    // Once more, now that no tenant's volume can be put on it.
    free()?;
    let folder = Folder::of(&config.state_dir, device)?;
    Ok(Ready { disk, survey, claim, folder })
}

/// What tenants have on these block devices, or may have: a volume whose key is here and whose file
/// is not may lie in a file system that is not mounted.
fn tenants(config: &HostdConfig, devices: &BTreeSet<u64>) -> Result<Vec<String>, SanitizeFailure> {
    let (dir, own) = (&config.volume_dir, &config.volume_devices);
    let store = VolumeStore::new(dir, own, &config.key_dir, &config.qemu_img);
    let mut found = Vec::new();
    for volume in store.list()? {
        let path = match store.place(volume) {
            Ok(place) => place.path,
            Err(VolumeFailure::Pool(gone @ PoolFailure::Gone { .. })) => {
                found.push(gone.to_string());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let under = |source| SanitizeFailure::Under { path: path.clone(), source };
        match std::fs::metadata(&path) {
            Ok(metadata) => {
                let device = block::number_of(&metadata).unwrap_or_else(|| metadata.dev());
                let topology = disk::resolve(device).map_err(under)?;
                let on = |text: &str| block::parse(text).is_some_and(|one| devices.contains(&one));
                if topology.layers.iter().any(|layer| on(&layer.device)) {
                    found.push(format!("volume {volume}"));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                found.push(format!(
                    "volume {volume} has its key here, and its file is not at {}: mount its file \
                     system, or off-board its tenant first",
                    path.display()
                ));
            }
            Err(error) => return Err(under(error)),
        }
    }
    Ok(found)
}

/// How the disk stands; nothing where the method has no status.
fn look(disk: &Disk, plan: &Plan) -> Result<(Option<Sighting>, Option<String>), SanitizeFailure> {
    let Some(command) = plan.look() else { return Ok((None, None)) };
    match disk.send(&command) {
        Answer::Done(page) => match plan.see(&page, clock::now()) {
            Ok((seen, _)) => Ok((Some(seen), Some(hex::encode(page)))),
            Err(error) => Err(Refusal::Obstacle(error.to_string()).into()),
        },
        Answer::Refused(words) | Answer::Lost(words) => {
            Err(Refusal::Obstacle(format!("it does not say how it stands: {words}")).into())
        }
    }
}

fn announce(plan: &Plan, is_open: bool, tell: &mut dyn FnMut(&str)) {
    let device = &plan.device;
    tell(&format!(
        "disk     {}, serial number {}, firmware {}",
        device.model, device.serial, device.firmware
    ));
    for (part, _) in &plan.parts {
        tell(&format!("destroys all {} bytes of unit {}", part.size_bytes, part.unit));
    }
    tell(&format!("method   {}", plan.method.name()));
    if let Some(seconds) = plan.estimate_s {
        tell(&format!("the disk says that it takes about {} min", seconds.div_ceil(60)));
    }
    if is_open {
        tell("a run on this disk was begun before, and its end is not stated yet");
    }
}

/// The intent: signed and durable.
fn intend(
    ready: &Ready,
    key: &HostKey,
    origin: DeviceOrigin,
    plan: Plan,
    (before, page): (Option<Sighting>, Option<String>),
) -> Result<Record, SanitizeFailure> {
    let number = ready.folder.last_attempt()?.saturating_add(1);
    let supersedes = ready.folder.without_end(number - 1)?;
    let attempt = Attempt { number, supersedes };
    let at = clock::now();
    let intent = DeviceSanitizeIntent {
        origin: origin.clone(),
        device: plan.device.clone(),
        attempt,
        at,
        method: plan.method,
        parts: plan.stated_parts(),
    };
    let envelope = key.seal(&Statement::new(Predicate::DeviceSanitizeIntent(intent)))?;
    ready.folder.intend(number, &envelope)?;
    let intent = Digest::of(&envelope);
    Ok(Record { plan, before, page, attempt, intent, origin, begun: at, interruptions: 0 })
}

fn conclude(
    ready: &Ready,
    record: &Record,
    course: &Course,
    (stop, took): (Stop, Duration),
    before: Option<&Places>,
) -> DeviceSanitize {
    let again = ready.disk.survey();
    let same_device = again.is_ok_and(|again| {
        let (now, then) = (&again.device, &record.plan.device);
        now.serial == then.serial && now.model == then.model
    });
    let sample =
        before.and_then(|before| Some(before.compare(&ready.disk.sample(&ready.survey).ok()?)));
    let end = End { stop, took, same_device, sample };
    run::statement(&ready.survey, record, course, end)
}

fn finish(
    statement: &DeviceSanitize,
    path: PathBuf,
    request: &Request,
    tell: &mut dyn FnMut(&str),
) -> Result<Outcome, SanitizeFailure> {
    if let Some(output) = &request.output {
        copy(&path, output)?;
    }
    let conclusion = statement.conclusion().clone();
    for shortcoming in &conclusion.shortcomings {
        tell(&format!("but {shortcoming}"));
    }
    Ok(Outcome::Stated { conclusion, path })
}

fn copy(from: &Path, to: &Path) -> Result<(), SanitizeFailure> {
    let bytes = run::read(from)?;
    Ok(crate::file::replace(to, &bytes, None)?)
}
