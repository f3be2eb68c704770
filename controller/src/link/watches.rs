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
        for row in rows {
            if !self.told.insert((row.cut, row.state == WatchState::Disarmed)) {
                continue;
            }
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
