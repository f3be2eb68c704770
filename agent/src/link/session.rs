//! One session: Hello, then the control stream and the two lanes, until one of them ends.

use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tenure_protocol::{
    time::Timestamp,
    wire::{
        frame::{Frame, Kind},
        v1::{AlarmMessage, KeepAlive, Lane, LaneOpen, Nack, RenewAnswer, RenewRequest, Welcome},
    },
};
use tokio::{
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    DIAL_LIMIT, Link, LinkFailure, endpoint,
    enrol::exporter,
    identity::{Identity, Request},
    local::{self, Base, LocalFailure},
    resolve,
    stream::{self, StreamFailure},
    tls,
};
use crate::{certificate::HostCertificate, clock};

/// How often the agent says that it is there, and what it sees.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long the controller may take for its Welcome, and to open the first lane.
const WELCOME_LIMIT: Duration = Duration::from_secs(15);

/// The cut lane's packets leave before all others.
const CUT_PRIORITY: i32 = 10;

/// How long after a refused renewal the next is asked for, ms.
const RENEW_RETRY_MS: i64 = 10 * 60 * 1000;

/// Frames of the control stream that wait to be looked at.
const CONTROL_QUEUE: usize = 16;

/// Serves one session to its end.
///
/// # Errors
/// [`LinkFailure`]: why it ended.
pub async fn run(link: &Link, mut base: Base, identity: Identity) -> Result<(), LinkFailure> {
    let address = resolve(&link.invitation.command_address).await?;
    let endpoint = endpoint(address)?;
    let config = tls::command(&link.invitation.ca_der, &identity)?;
    let dial = endpoint.connect_with(config, address, &link.invitation.server_name)?;
    let late = |what, limit| move |_| LinkFailure::Late { what, limit };
    let connection = timeout(DIAL_LIMIT, dial).await.map_err(late("handshake", DIAL_LIMIT))??;
    let greeted = timeout(WELCOME_LIMIT, greet(&connection, &mut base, &identity));
    let greeted = greeted.await.map_err(late("Welcome", WELCOME_LIMIT))?;
    let (send, recv) = greeted.map_err(|error| cause(&connection, error))?;
    let control = Control { link, connection: &connection, base, asked: None };
    let end = tokio::select! {
        end = control.run(send, recv, identity.certificate) => end,
        end = lanes(link, &connection) => end,
    };
    let end = end.map_err(|error| cause(&connection, error));
    if let Err(LinkFailure::Stream(StreamFailure::Frame(error))) = &end {
        tracing::error!(%error, "the controller broke the framing: the session ends");
    }
    connection.close(VarInt::from_u32(0), b"the session is over");
    end
}

/// A stream's end is the connection's, if that ended too: its reason says more.
fn cause(connection: &Connection, error: LinkFailure) -> LinkFailure {
    match (connection.close_reason(), error) {
        (Some(reason), LinkFailure::Stream(StreamFailure::Io(_))) => {
            LinkFailure::Connection(reason)
        }
        (_, error) => error,
    }
}

async fn greet(
    connection: &Connection,
    base: &mut Base,
    identity: &Identity,
) -> Result<(SendStream, RecvStream), LinkFailure> {
    let (mut send, mut recv) = connection.open_bi().await?;
    stream::send(&mut send, Kind::Hello, &base.hello().await?).await?;
    let frame = stream::read(&mut recv).await?;
    let welcome: Welcome = frame.decode(Kind::Welcome).map_err(StreamFailure::from)?;
    if welcome.host != identity.certificate.host {
        return Err(LinkFailure::Protocol("it welcomed another host"));
    }
    let ahead_ms = welcome.now.ms_since(clock::now());
    let version = welcome.controller_version;
    tracing::info!(host = %welcome.host, version, ahead_ms, "the link is up");
    Ok((send, recv))
}

/// The control stream: keep-alives, alarms, and the next certificate in time.
struct Control<'a> {
    link: &'a Link,
    connection: &'a Connection,
    base: Base,
    asked: Option<Request>,
}

impl Control<'_> {
    async fn run(
        mut self,
        mut send: SendStream,
        recv: RecvStream,
        certificate: HostCertificate,
    ) -> Result<(), LinkFailure> {
        let (frames, mut arrived) = mpsc::channel(CONTROL_QUEUE);
        let reader = read_all(recv, frames);
        tokio::pin!(reader);
        let mut beat = interval(KEEP_ALIVE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renew_at = renewal(&certificate);
        loop {
            tokio::select! {
                end = &mut reader => return end,
                Some(frame) = arrived.recv() => {
                    if let Some(next) = self.take(&frame).await? {
                        renew_at = next;
                    }
                }
                _ = beat.tick() => {
                    self.beat(&mut send).await?;
                    if self.asked.is_none() && clock::now() >= renew_at {
                        self.ask(&mut send).await?;
                    }
                }
            }
        }
    }

    async fn beat(&mut self, send: &mut SendStream) -> Result<(), LinkFailure> {
        let observation = Some(self.base.observe().await?);
        let alive = KeepAlive { sent_at: clock::now(), answers: None, observation };
        stream::send(send, Kind::KeepAlive, &alive).await?;
        // Said again on every beat until they are received.
        for alarm in self.base.alarms().await? {
            stream::send(send, Kind::Alarm, &AlarmMessage::Raised(alarm)).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, send: &mut SendStream) -> Result<(), LinkFailure> {
        let request = Request::new()?;
        let csr = request.csr.clone();
        let (_, signature) = self.base.sign(exporter(self.connection)?, csr.clone()).await?;
        stream::send(send, Kind::RenewRequest, &RenewRequest { csr, signature }).await?;
        self.asked = Some(request);
        Ok(())
    }

    /// Takes a frame; gives when the next certificate is to be asked for, if that changed.
    async fn take(&mut self, frame: &Frame) -> Result<Option<Timestamp>, LinkFailure> {
        if frame.kind == Kind::KeepAlive as u16 {
            let alive: KeepAlive = frame.decode(Kind::KeepAlive).map_err(StreamFailure::from)?;
            if let Some(asked_at) = alive.answers {
                tracing::debug!(round_trip_ms = clock::now().ms_since(asked_at), "alive");
            }
            return Ok(None);
        }
        if frame.kind == Kind::Alarm as u16 {
            match frame.decode(Kind::Alarm).map_err(StreamFailure::from)? {
                AlarmMessage::Received { sequence } => self.base.alarm_received(sequence).await?,
                AlarmMessage::Raised(_) => {
                    return Err(LinkFailure::Protocol("it raised an alarm"));
                }
            }
            return Ok(None);
        }
        if frame.kind == Kind::Nack as u16 {
            let Nack { kind, message } = frame.decode(Kind::Nack).map_err(StreamFailure::from)?;
            tracing::warn!(kind, message, "the controller did not understand");
            return Ok(None);
        }
        if frame.kind != Kind::RenewAnswer as u16 {
            tracing::warn!(kind = frame.kind, "a frame that this build does not know: passed over");
            return Ok(None);
        }
        let answer = frame.decode(Kind::RenewAnswer).map_err(StreamFailure::from)?;
        let Some(request) = self.asked.take() else {
            return Err(LinkFailure::Protocol("a certificate that nobody asked for"));
        };
        match answer {
            RenewAnswer::Accepted { chain } => {
                let (dir, invitation) = (&self.link.state_dir, &self.link.invitation);
                let identity = request.complete(chain, dir, invitation)?;
                tracing::info!(until = %identity.certificate.not_after, "certificate renewed");
                Ok(Some(renewal(&identity.certificate)))
            }
            RenewAnswer::Refused { message } => {
                tracing::warn!(message, "the controller refused the next certificate");
                Ok(Some(clock::now().plus_ms(RENEW_RETRY_MS)))
            }
        }
    }
}

async fn read_all(mut recv: RecvStream, frames: mpsc::Sender<Frame>) -> Result<(), LinkFailure> {
    loop {
        let frame = stream::read(&mut recv).await?;
        if frames.send(frame).await.is_err() {
            return Ok(());
        }
    }
}

/// A random moment between 50 and 70 % of a certificate's life.
fn renewal(certificate: &HostCertificate) -> Timestamp {
    let mut byte = [0];
    // Without randomness hosts only renew closer together.
    let _ = getrandom::fill(&mut byte);
    let life_ms = certificate.not_after.ms_since(certificate.not_before);
    let permille = 500 + i64::from(byte[0]) * 200 / 255;
    certificate.not_before.plus_ms(life_ms / 1000 * permille)
}

/// Both lanes, each passed on over a connection of its own.
async fn lanes(link: &Link, connection: &Connection) -> Result<(), LinkFailure> {
    let late = |_| LinkFailure::Late { what: "lane", limit: WELCOME_LIMIT };
    let (first, send, recv) = timeout(WELCOME_LIMIT, accept(connection)).await.map_err(late)??;
    let one = relay(link, first, send, recv);
    let other = async {
        let (lane, send, recv) = accept(connection).await?;
        if lane == first {
            return Err(LinkFailure::Protocol("it opened one lane twice"));
        }
        relay(link, lane, send, recv).await
    };
    tokio::try_join!(one, other)?;
    Ok(())
}

async fn accept(connection: &Connection) -> Result<(Lane, SendStream, RecvStream), LinkFailure> {
    let (send, mut recv) = connection.accept_bi().await?;
    let frame = stream::read(&mut recv).await?;
    let open: LaneOpen = frame.decode(Kind::LaneOpen).map_err(StreamFailure::from)?;
    Ok((open.lane, send, recv))
}

async fn relay(
    link: &Link,
    lane: Lane,
    send: SendStream,
    recv: RecvStream,
) -> Result<(), LinkFailure> {
    if lane == Lane::Cut {
        // A stream that is gone needs no priority.
        let _ = send.set_priority(CUT_PRIORITY);
    }
    let (local_read, local_write) = local::lane(&link.socket, lane).await?.into_split();
    tokio::try_join!(inward(recv, local_write), outward(send, local_read))?;
    Ok(())
}

/// From the controller to tenure-hostd: the bytes as they are.
async fn inward(mut recv: RecvStream, mut local: OwnedWriteHalf) -> Result<(), LinkFailure> {
    let passed = [
        Kind::Order,
        Kind::ReportReceipt,
        Kind::IntentReceipt,
        Kind::IntentRefusal,
        Kind::Packet,
        Kind::Disarm,
        Kind::WatchReceipt,
    ];
    let passed = passed.map(|kind| kind as u16);
    loop {
        let frame = stream::read(&mut recv).await?;
        if passed.contains(&frame.kind) {
            stream::write(&mut local, &frame).await.map_err(LocalFailure::from)?;
        } else if frame.kind == Kind::Nack as u16 {
            let Nack { kind, message } = frame.decode(Kind::Nack).map_err(StreamFailure::from)?;
            tracing::warn!(kind, message, "the controller did not take a report");
        } else {
            tracing::warn!(kind = frame.kind, "a frame that this build does not know: passed over");
        }
    }
}

/// From tenure-hostd to the controller.
async fn outward(mut send: SendStream, mut local: OwnedReadHalf) -> Result<(), LinkFailure> {
    loop {
        let frame = stream::read(&mut local).await.map_err(LocalFailure::from)?;
        stream::write(&mut send, &frame).await?;
    }
}

#[cfg(test)]
mod tests {
    use tenure_protocol::id::HostId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_certificate_is_renewed_between_50_and_70_percent_of_its_life_and_not_always_at_once() {
        let not_before = Timestamp::from_unix_ms(1_788_220_800_000);
        let not_after = not_before.plus_ms(86_400_000);
        let host = HostId::from_uuid(Uuid::from_u128(1));
        let certificate = HostCertificate { host, not_before, not_after };
        let permille = |at: Timestamp| at.ms_since(not_before) / 86_400;
        let drawn: Vec<_> = (0..256).map(|_| permille(renewal(&certificate))).collect();
        assert!(drawn.iter().all(|at| (500..=700).contains(at)), "{drawn:?}");
        assert!(drawn.iter().any(|at| *at < 560) && drawn.iter().any(|at| *at > 640), "{drawn:?}");
    }
}
