//! Alarms on their way to the controller: each is kept until the controller has it, over restarts
//! too, in a file beside the journals. The queue has a limit; what is given up for want of room is
//! counted in what stays. An alarm is no order: where the file cannot be written, it is told all
//! the same.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tenure_protocol::wire::{
    frame,
    v1::{Alarm, HostAlarm, SignedAlarm},
    watch::SaidError,
};

use crate::{engine::Identity, file};

/// Most alarms that wait.
pub const MAX_ALARMS: usize = 256;
/// Most bytes of the file.
const MAX_BYTES: u64 = 1024 * 1024;

/// The alarms that the controller has not received.
#[derive(Debug)]
pub struct Alarms {
    path: PathBuf,
    waiting: Mutex<VecDeque<Alarm>>,
}

impl Alarms {
    /// The alarms that an earlier process kept at `path`. A file that cannot be read is begun anew,
    /// and said so in the log.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let kept = match file::read_limited(path, MAX_BYTES) {
            Ok(bytes) => frame::decode::<Vec<Alarm>>(&bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        };
        let waiting = kept.unwrap_or_else(|reason| {
            tracing::error!(path = %path.display(), reason, "alarms that waited are lost");
            Vec::new()
        });
        Self { path: path.to_owned(), waiting: Mutex::new(waiting.into()) }
    }

    /// Keeps an alarm until it is received. Without room an older one goes: the oldest of those
    /// whose cause was repaired, if there is one.
    pub fn raise(&self, mut alarm: Alarm) {
        self.change(|waiting| {
            if waiting.len() >= MAX_ALARMS {
                let least = waiting.iter().position(|one| one.repaired).unwrap_or(0);
                let gone = waiting.remove(least).map_or(0, |gone| gone.dropped.saturating_add(1));
                alarm.dropped = alarm.dropped.saturating_add(gone);
            }
            waiting.push_back(alarm);
            true
        });
    }

    /// The oldest, as many as that.
    #[must_use]
    pub fn oldest(&self, most: usize) -> Vec<Alarm> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().take(most).cloned().collect()
    }

    /// The oldest, as many as that, as the controller believes them: signed by this host. None
    /// before it knows which host this is.
    ///
    /// # Errors
    /// [`SaidError::Body`] if one cannot be encoded.
    pub fn signed(&self, most: usize, own: &Identity) -> Result<Vec<SignedAlarm>, SaidError> {
        let Some(host) = own.host.get().copied() else { return Ok(Vec::new()) };
        let oldest = self.oldest(most).into_iter();
        oldest.map(|alarm| own.key.say(&HostAlarm { host, alarm })).collect()
    }

    /// The controller has it.
    pub fn received(&self, sequence: u64) {
        self.change(|waiting| {
            let before = waiting.len();
            waiting.retain(|alarm| alarm.sequence != sequence);
            waiting.len() != before
        });
    }

    fn change(&self, change: impl FnOnce(&mut VecDeque<Alarm>) -> bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut waiting) {
            return;
        }
        let all: Vec<&Alarm> = waiting.iter().collect();
        let saved = frame::encode(&all).and_then(|bytes| {
            file::replace(&self.path, &bytes, None).map_err(|error| error.to_string())
        });
        if let Err(reason) = saved {
            tracing::error!(reason, "an alarm would not outlive a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use tenure_protocol::{time::Timestamp, wire::v1::Mark};

    use super::*;
    use crate::core::drift::Drift;

    fn alarm(sequence: u64, repaired: bool) -> Alarm {
        let at = Timestamp::from_unix_ms(0);
        Drift::not_cut(Mark(0x101), repaired).alarm(sequence, at, None)
    }

    fn sequences(alarms: &Alarms) -> Vec<u64> {
        alarms.oldest(MAX_ALARMS).iter().map(|alarm| alarm.sequence).collect()
    }

    #[test]
    fn alarms_outlive_a_restart_until_they_are_received_and_a_damaged_file_is_begun_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("alarms");
        let alarms = Alarms::open(&path);
        (1..=3).for_each(|sequence| alarms.raise(alarm(sequence, true)));
        alarms.received(2);
        alarms.received(2);
        let again = Alarms::open(&path);
        assert_eq!(sequences(&again), [1, 3]);
        assert_eq!(again.oldest(1).len(), 1);
        file::replace(&path, b"\xff\xff", None).expect("written");
        assert_eq!(sequences(&Alarms::open(&path)), [0; 0]);
    }

    #[test]
    fn without_room_repaired_ones_go_first_and_none_goes_uncounted() {
        let dir = tempfile::tempdir().expect("a directory");
        let alarms = Alarms::open(&dir.path().join("alarms"));
        let most = u64::try_from(MAX_ALARMS).expect("a small number");
        alarms.raise(alarm(0, false));
        (1..=most + 1).for_each(|sequence| alarms.raise(alarm(sequence, true)));
        let kept = alarms.oldest(usize::MAX);
        assert_eq!(kept.len(), MAX_ALARMS);
        assert_eq!((kept[0].sequence, kept[1].sequence), (0, 3), "1 and 2 went");
        assert_eq!(kept.iter().map(|alarm| alarm.dropped).sum::<u64>(), 2);
    }
}
