//! A webhook receiver: an HTTP server of a customer, which checks each message's signature with
//! code of its own (Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`).

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{daemon::elapse, net::Netns};

/// Most bytes of a message's head or body.
const LIMIT: u64 = 256 * 1024;

/// One message that came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// Who sent it.
    pub from: IpAddr,
    /// Whether its signature is right.
    pub signed: bool,
    /// The status of the answer.
    pub status: u16,
    /// `webhook-id`.
    pub id: String,
    /// The body.
    pub body: serde_json::Value,
}

/// How a receiver answers a signed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// With this status.
    Answers(u16),
    /// With 204, and so late that nobody waits for it.
    Slow,
}

/// How late a slow receiver answers: later than any sender waits.
const LATE: Duration = Duration::from_secs(12);

/// The receiver. It answers 204 to a signed message, unless it is told otherwise, and 401 to any
/// other.
pub struct WebhookReceiver {
    received: Arc<Mutex<Vec<Received>>>,
    mood: Arc<Mutex<Mood>>,
}

impl WebhookReceiver {
    /// Listens in `netns` on `address`, for messages signed with `secret` (`whsec_…`).
    ///
    /// # Errors
    /// If the address is in use, or the secret is none.
    pub fn start(netns: &Netns, address: SocketAddr, secret: &str) -> anyhow::Result<Self> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").context("no whsec_ secret")?)?;
        let listener = netns.within(move || TcpListener::bind(address))??;
        let receiver = Self {
            received: Arc::new(Mutex::new(Vec::new())),
            mood: Arc::new(Mutex::new(Mood::Answers(204))),
        };
        let key = Arc::new(key);
        let (received, mood) = (Arc::clone(&receiver.received), Arc::clone(&receiver.mood));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (key, sink) = (Arc::clone(&key), Arc::clone(&received));
                let mood = *mood.lock().unwrap_or_else(PoisonError::into_inner);
                std::thread::spawn(move || {
                    if let Ok(message) = receive(&stream, &key, mood) {
                        sink.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                    }
                });
            }
        });
        Ok(receiver)
    }

    /// All that came in so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the next messages are answered.
    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

fn receive(stream: &TcpStream, key: &[u8], mood: Mood) -> anyhow::Result<Received> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.take(LIMIT));
    let (mut id, mut timestamp, mut signature, mut length) = Default::default();
    let mut line = String::new();
    reader.read_line(&mut line)?;
    ensure!(line.starts_with("POST "), "not a POST");
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "webhook-id" => id = value,
            "webhook-timestamp" => timestamp = value,
            "webhook-signature" => signature = value,
            "content-length" => length = value,
            _ => {}
        }
    }
    let mut body = vec![0; length.parse()?];
    ensure!(body.len() as u64 <= LIMIT, "too long");
    reader.read_exact(&mut body)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&body);
    let want = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let signed = signature.split(' ').any(|given| given == want);
    let status = match (signed, mood) {
        (false, _) => 401,
        (true, Mood::Answers(status)) => status,
        (true, Mood::Slow) => {
            elapse(LATE);
            204
        }
    };
    let mut writer = stream;
    let head = format!("HTTP/1.1 {status} So\r\nlocation: /elsewhere\r\ncontent-length: 0");
    write!(writer, "{head}\r\nconnection: close\r\n\r\n")?;
    let (at, from) = (Instant::now(), stream.peer_addr()?.ip());
    Ok(Received { at, from, signed, status, id, body: serde_json::from_slice(&body)? })
}
