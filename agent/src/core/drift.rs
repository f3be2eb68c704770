//! Drift: what is on the host is no longer what the agent made, and who made it so.

use tenure_protocol::{
    id::TenantId,
    time::Timestamp,
    wire::v1::{Alarm, AlarmKind, Culprit, Mark},
};

/// Longest sentence of an alarm, characters.
const MAX_WHAT_CHARS: usize = 1_000;
/// Longest name of a process, characters (TASK_COMM_LEN is less).
const MAX_COMMAND_CHARS: usize = 32;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What kind of thing it is.
    pub kind: AlarmKind,
    /// What it is about: a table, a mark, a device.
    pub subject: String,
    /// Mark of the tenant, if it is about one.
    pub mark: Option<Mark>,
    /// What differs, as a sentence.
    pub what: String,
    /// Who did it, if the kernel told.
    pub culprit: Option<Culprit>,
    /// Whether all is again as it should be.
    pub repaired: bool,
}

impl Drift {
    /// A tenant that is to be cut was not, and is or is not again.
    #[must_use]
    pub fn not_cut(mark: Mark, repaired: bool) -> Self {
        Self {
            kind: AlarmKind::CutNotInForce,
            subject: format!("{:#x}", mark.0),
            mark: Some(mark),
            what: "a tenant that is to be cut was not among those that are".to_owned(),
            culprit: None,
            repaired,
        }
    }

    /// The alarm that the controller is told. A process chooses its own name: what is no letter of
    /// it is shown as `?`.
    #[must_use]
    pub fn alarm(self, sequence: u64, at: Timestamp, tenant: Option<TenantId>) -> Alarm {
        let plain = |text: &str, most| -> String {
            text.chars().map(|one| if one.is_control() { '?' } else { one }).take(most).collect()
        };
        let culprit = self.culprit.map(|culprit| Culprit {
            pid: culprit.pid,
            command: plain(&culprit.command, MAX_COMMAND_CHARS),
        });
        Alarm {
            sequence,
            at,
            kind: self.kind,
            subject: self.subject,
            tenant,
            what: plain(&self.what, MAX_WHAT_CHARS),
            culprit,
            repaired: self.repaired,
            dropped: 0,
            figures: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_name_themselves_neither_breaks_lines_nor_runs_on() {
        let drift = Drift {
            culprit: Some(Culprit { pid: 7, command: "nft\n\u{1b}[2J".repeat(9) }),
            what: "x".repeat(5_000),
            ..Drift::not_cut(Mark(0x101), false)
        };
        let alarm = drift.alarm(1, Timestamp::from_unix_ms(0), None);
        let command = alarm.culprit.expect("a culprit").command;
        assert!(command.starts_with("nft??[2J") && command.len() == MAX_COMMAND_CHARS);
        assert_eq!((alarm.what.len(), alarm.subject.as_str()), (MAX_WHAT_CHARS, "0x101"));
    }
}
