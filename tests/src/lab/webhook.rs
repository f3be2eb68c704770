//! A webhook receiver: an HTTP server of a customer, which checks each message's signature with
//! code of its own (Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`).

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::net::Netns;

/// Most bytes of a message's head or body.
const LIMIT: u64 = 256 * 1024;

/// One message that came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// Whether its signature is right.
    pub signed: bool,
    /// `webhook-id`.
    pub id: String,
    /// The body.
    pub body: serde_json::Value,
}

/// The receiver. It answers 204 to a signed message and 401 to any other.
pub struct WebhookReceiver {
    received: Arc<Mutex<Vec<Received>>>,
}

impl WebhookReceiver {
    /// Listens in `netns` on `address`, for messages signed with `secret` (`whsec_…`).
    ///
    /// # Errors
    /// If the address is in use, or the secret is none.
    pub fn start(netns: &Netns, address: SocketAddr, secret: &str) -> anyhow::Result<Self> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").context("no whsec_ secret")?)?;
        let listener = netns.within(move || TcpListener::bind(address))??;
        let received = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok(message) = receive(&stream, &key) {
                    sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(message);
                }
            }
        });
        Ok(Self { received })
    }

    /// All that came in so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

fn receive(stream: &TcpStream, key: &[u8]) -> anyhow::Result<Received> {
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
    let answer = if signed { "204 No Content" } else { "401 Unauthorized" };
    let mut writer = stream;
    write!(writer, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(Received { at: Instant::now(), signed, id, body: serde_json::from_slice(&body)? })
}
