//! Client certificates at the API. The listener asks for one if the site has an authority of its
//! own for them, and goes on without: people and tokens need none. A certificate that does not
//! verify ends the handshake, so what arrives here is of that authority, valid, and of whoever
//! holds its key; whether it opens anything, its registration says.

use axum::http::{HeaderMap, header};
use rustls::CommonState;
use tenure_protocol::digest::Digest;

/// The certificate that a connection's client has shown to hold the key of, by its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented(pub Digest);

impl Presented {
    /// Of a connection whose handshake is over.
    #[must_use]
    pub fn of(connection: &CommonState) -> Option<Self> {
        let leaf = connection.peer_certificates()?.first()?;
        Some(Self(Digest::of(leaf)))
    }

    /// Whether a request on that connection may go by it. A browser sends a certificate with
    /// whatever any page asks it to send, so it opens nothing there: browsers say what they are.
    #[must_use]
    pub fn counts(headers: &HeaderMap) -> bool {
        !headers.contains_key(header::ORIGIN) && !headers.contains_key("sec-fetch-site")
    }
}
