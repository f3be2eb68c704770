//! A run's files, its course on a real disk, and its statement.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    digest::Digest,
    evidence::{
        dsse::MAX_ENVELOPE_BYTES,
        predicate::{
            DeviceOrigin, DeviceSanitizeMeasured, SanitizeAccount, Span,
            device::{Attempt, Device},
            device_sanitize::{DeviceSanitize, Sample, Sighting, State, Stop},
        },
    },
    time::Timestamp,
};

use super::SanitizeFailure;
use crate::{
    clock,
    core::sanitize::{Course, Moment, Next, Plan, Refusal, Survey, Wanted},
    file,
    host::device::Disk,
};

/// Most attempts on one disk that this host keeps.
const MAX_ATTEMPTS: u32 = 10_000;

/// A run that is open: all that is needed to take it up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) plan: Plan,
    pub(super) before: Option<Sighting>,
    pub(super) page: Option<String>,
    pub(super) attempt: Attempt,
    pub(super) intent: Digest,
    pub(super) origin: DeviceOrigin,
    pub(super) begun: Timestamp,
    pub(super) interruptions: u32,
}

impl Record {
    /// What was begun: a disk that is busy with it may not say again what it has.
    pub(super) fn plan_for(&self, wanted: Wanted) -> Result<Plan, Refusal> {
        match wanted {
            Wanted::Method(method) if method != self.plan.method => {
                Err(Refusal::Begun(self.plan.method))
            }
            Wanted::Method(_) | Wanted::Auto => Ok(self.plan.clone()),
        }
    }
}

/// The directory of one disk's runs.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it if it is not there.
    pub(super) fn of(state_dir: &Path, device: &Device) -> Result<Self, SanitizeFailure> {
        let name = Digest::of(device.name().as_bytes()).to_string();
        let all = state_dir.join("sanitize");
        let dir = all.join(name);
        for dir in [&all, &dir] {
            file::directory(dir, 0o700, None)?;
        }
        for dir in [state_dir, &all] {
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(on("sync", dir))?;
        }
        Ok(Self(dir))
    }

    fn run_path(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// The run that is open, if there is one.
    pub(super) fn open_run(&self) -> Result<Option<Record>, SanitizeFailure> {
        let path = self.run_path();
        if !path.exists() {
            return Ok(None);
        }
        let record = serde_json::from_slice(&read(&path)?);
        record.map(Some).map_err(|error| bad(&path, error))
    }

    /// The file of the statement of the run that is open, if it was made already.
    pub(super) fn stated(&self) -> Result<Option<PathBuf>, SanitizeFailure> {
        let record = self.open_run()?;
        let path = record.map(|record| self.path("statement", record.attempt.number));
        Ok(path.filter(|path| path.exists()))
    }

    fn path(&self, what: &str, number: u32) -> PathBuf {
        self.0.join(format!("{what}-{number}.json"))
    }

    /// The number of the last attempt, 0 if there was none.
    pub(super) fn last_attempt(&self) -> Result<u32, SanitizeFailure> {
        let last = (1..=MAX_ATTEMPTS).take_while(|number| self.path("intent", *number).exists());
        match last.last() {
            Some(MAX_ATTEMPTS) => Err(bad(&self.0, "there were too many attempts")),
            last => Ok(last.unwrap_or(0)),
        }
    }

    /// The intent of an attempt that no statement ended, by its digest.
    pub(super) fn without_end(&self, number: u32) -> Result<Option<Digest>, SanitizeFailure> {
        let path = self.path("intent", number);
        if !path.exists() || self.path("statement", number).exists() {
            return Ok(None);
        }
        Ok(Some(Digest::of(&read(&path)?)))
    }

    pub(super) fn intend(&self, number: u32, envelope: &[u8]) -> Result<(), SanitizeFailure> {
        Ok(file::replace(&self.path("intent", number), envelope, None)?)
    }

    pub(super) fn save(&self, record: &Record) -> Result<(), SanitizeFailure> {
        let path = self.run_path();
        let bytes = serde_json::to_vec_pretty(record).map_err(|error| bad(&path, error))?;
        Ok(file::replace(&path, &bytes, None)?)
    }

    pub(super) fn state(&self, number: u32, envelope: &[u8]) -> Result<PathBuf, SanitizeFailure> {
        let path = self.path("statement", number);
        file::replace(&path, envelope, None)?;
        Ok(path)
    }

    /// Ends the run that is open, durably.
    pub(super) fn close(&self) -> Result<(), SanitizeFailure> {
        let path = self.run_path();
        fs::remove_file(&path).map_err(on("remove", &path))?;
        File::open(&self.0).and_then(|dir| dir.sync_all()).map_err(on("sync", &self.0))
    }
}

/// Sends the course's commands, one after the other, and tells how far the disk is.
pub(super) fn drive(disk: &Disk, course: &mut Course, tell: &mut dyn FnMut(&str)) -> Stop {
    let (_never, pause) = mpsc::channel::<()>();
    let mut told = None;
    loop {
        let (wait_ms, command) = match course.next() {
            Next::End(stop) => return stop,
            Next::Send(wait_ms, command) => (wait_ms, command),
        };
        // The sender lives, so that this is a pause and nothing else.
        let _ = pause.recv_timeout(Duration::from_millis(wait_ms));
        let (sent_at, before) = (clock::now(), clock::monotonic());
        let answer = disk.send(&command);
        let took = clock::monotonic().saturating_sub(before);
        let when = Moment {
            sent_at,
            answered_at: clock::now(),
            took_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            boot_ms: u64::try_from(clock::monotonic().as_millis()).unwrap_or(u64::MAX),
        };
        let commands = course.commands().len();
        course.answered(&answer, when);
        for one in course.commands().iter().skip(commands) {
            tell(&format!(
                "unit {}: {} after {} ms",
                one.unit,
                one.answer,
                one.took_ns / 1_000_000
            ));
        }
        let percent = course.sightings().last().filter(|seen| seen.state == State::InProgress);
        let percent = percent.and_then(|seen| seen.progress_ppm).map(|ppm| ppm / 10_000);
        if percent.is_some() && percent != told {
            tell(&format!("{} %", percent.unwrap_or(0)));
            told = percent;
        }
    }
}

/// What is seen when a run is over.
#[derive(Debug)]
pub(super) struct End {
    /// How it ended.
    pub(super) stop: Stop,
    /// How long this process had to do with it.
    pub(super) took: Duration,
    /// Whether the same disk answers.
    pub(super) same_device: bool,
    /// The same places, before and after.
    pub(super) sample: Option<Sample>,
}

/// The statement of a run that is over.
pub(super) fn statement(
    survey: &Survey,
    record: &Record,
    course: &Course,
    end: End,
) -> DeviceSanitize {
    let plan = &record.plan;
    let End { stop, took, same_device, sample } = end;
    DeviceSanitize::new(SanitizeAccount {
        origin: record.origin.clone(),
        device: plan.device.clone(),
        attempt: record.attempt,
        intent: record.intent,
        method: plan.method,
        parts: plan.stated_parts(),
        measured: DeviceSanitizeMeasured {
            stop,
            span: Span {
                started_at: record.begun,
                ended_at: clock::now(),
                took_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            },
            interruptions: record.interruptions,
            before: course.before(),
            commands: course.commands().to_vec(),
            sightings: course.sightings().to_vec(),
            same_device,
            outside_bytes: plan.outside_bytes,
            sample,
        },
        device_reported: plan.device_word(
            survey,
            record.page.clone(),
            course.page().map(hex::encode),
        ),
        not_measured: plan.not_measured(survey, sample.is_some()),
    })
}

/// A file of ours.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, SanitizeFailure> {
    file::read_limited(path, MAX_ENVELOPE_BYTES as u64).map_err(on("read", path))
}

fn on(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SanitizeFailure {
    move |source| SanitizeFailure::Io { operation, path: path.to_owned(), source }
}

fn bad(path: &Path, reason: impl ToString) -> SanitizeFailure {
    SanitizeFailure::Record { path: path.to_owned(), reason: reason.to_string() }
}
