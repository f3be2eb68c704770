//! What a session says and hears of the cuts that its host watches over. Nothing of it ever ends a
//! session or holds an order up: a cut goes on without its packet.

use std::collections::HashSet;

use tenure_protocol::{
    id::{CutId, HostId},
    wire::{
        frame::{Frame, FrameError, Kind},
        v1::Nack,
        watch::{WatchReport, WatchSaid},
    },
};

use super::{Link, session::SessionError};
use crate::{
    core::watch::WatchState,
    engine::{Engine, EngineError, WatchRow, WatchWord},
};

/// What a session has told its host already: each word once in a session, and again in the next
/// until the host has answered it.
#[derive(Debug, Default)]
pub(super) struct Watches {
    told: HashSet<(CutId, bool)>,
}

impl Watches {
    /// Frames that are due to the host now.
    pub(super) async fn frames(&mut self, link: &Link, host: HostId) -> Vec<Frame> {
        let rows = match link.engine.watches_to_tell(host).await {
            Ok(rows) => rows,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%host, error, "a host's watches cannot be read");
                return Vec::new();
            }
        };
        let mut frames = Vec::new();
        for row in self.of_this_round(rows) {
            match frame(&link.engine, &row).await {
                Ok(frame) => frames.push(frame),
                Err(error) => {
                    let message = error.to_string();
                    tracing::error!(%host, cut = %row.cut, message,
                        "a host cannot be told of a cut that it is to watch over");
                    lose(&link.engine, host, &row, message).await;
                }
            }
        }
        frames
    }

    /// Which of the rows the host is told in this round: those that it was not told yet, and of the
    /// standing packets among them that wait their turn the first alone. One that the host does not
    /// answer holds up no other.
    fn of_this_round(&mut self, rows: Vec<WatchRow>) -> Vec<WatchRow> {
        let mut one = true;
        let is_due = |row: &WatchRow| {
            let word = (row.cut, row.state == WatchState::Disarmed);
            let untold = !self.told.contains(&word);
            let in_turn = untold && (!row.waits_its_turn() || std::mem::take(&mut one));
            in_turn && self.told.insert(word)
        };
        rows.into_iter().filter(is_due).collect()
    }
}

/// A packet that cannot be sent is a watch that nobody keeps: people have to know.
async fn lose(engine: &Engine, host: HostId, row: &WatchRow, message: String) {
    let said = WatchSaid::NotKept { code: "not-sent".to_owned(), message };
    let report = WatchReport { cut: row.cut, sequence: 0, said };
    if let Err(error) = engine.watch_reported(host, report).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(%host, cut = %row.cut, error, "a lost watch is not written down");
    }
}

async fn frame(engine: &Engine, row: &WatchRow) -> Result<Frame, SessionError> {
    Ok(match engine.watch_word(row).await? {
        WatchWord::Packet(packet) => Frame::new(Kind::Packet, &packet)?,
        WatchWord::Disarm(disarm) => Frame::new(Kind::Disarm, &disarm)?,
    })
}

/// What to answer to a host's report of its watch, once it is durable.
pub(super) async fn taken(
    engine: &Engine,
    host: HostId,
    report: WatchReport,
) -> Result<Vec<Frame>, SessionError> {
    let (cut, sequence) = (report.cut, report.sequence);
    // In its own spawned future: what is committed must also be entered into the ledger, even if
    // the connection ends meanwhile.
    let engine = engine.clone();
    let taken = tokio::spawn(async move { engine.watch_reported(host, report).await });
    let frame: Result<Frame, FrameError> = match taken.await.map_err(|_| SessionError::Stopping)? {
        Ok(receipt) => Frame::new(Kind::WatchReceipt, &receipt),
        Err(
            error @ (EngineError::Refused(_) | EngineError::NotFound(_) | EngineError::Invalid(_)),
        ) => {
            tracing::warn!(%host, %cut, sequence, %error, "a report of a watch was not taken");
            let nack = Nack { kind: Kind::WatchReport as u16, message: error.to_string() };
            Frame::new(Kind::Nack, &nack)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(vec![frame?])
}

#[cfg(test)]
mod tests {
    use tenure_protocol::{id::TenantId, time::Timestamp, wire::watch::DisarmReason};
    use uuid::Uuid;

    use super::*;
    use crate::core::watch::Standing;

    fn row(number: u128, state: WatchState, standing: Standing) -> WatchRow {
        let cut = CutId::from_uuid(Uuid::from_u128(number));
        WatchRow {
            cut,
            host: HostId::from_uuid(Uuid::from_u128(1)),
            tenant: TenantId::from_uuid(Uuid::from_u128(number)),
            ordered_at: Timestamp::from_unix_ms(0),
            state,
            reason: DisarmReason::Void,
            standing,
            counts: cut,
            made_of: None,
        }
    }

    #[test]
    fn a_standing_packet_without_an_answer_holds_up_no_other() {
        let rows = || {
            vec![
                row(1, WatchState::Open, Standing::No),
                row(2, WatchState::Disarmed, Standing::Waits),
                row(3, WatchState::Open, Standing::Waits),
                row(4, WatchState::Lost, Standing::Waits),
                row(5, WatchState::Open, Standing::Waits),
            ]
        };
        let mut watches = Watches::default();
        for expected in [&[1_u128, 2, 3][..], &[4], &[5], &[]] {
            let told = watches.of_this_round(rows());
            let told: Vec<u128> = told.iter().map(|row| row.cut.as_uuid().as_u128()).collect();
            assert_eq!(told, expected);
        }
        let told = watches.of_this_round(vec![row(3, WatchState::Disarmed, Standing::Waits)]);
        assert_eq!(told.len(), 1, "another word on the same");
    }
}
