//! Small clients for what guests serve.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::ensure;

use super::net::Netns;

const LIMIT: Duration = Duration::from_secs(2);

/// The body of `GET /` at `address`, asked from `netns`.
///
/// # Errors
/// If there is no answer within 2 s, or it is not 200.
pub fn http_get(netns: &Netns, address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = netns.within(move || TcpStream::connect_timeout(&address, LIMIT))??;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET / HTTP/1.0\r\nhost: {}\r\n\r\n", address.ip())?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    ensure!(head.contains(" 200 "), "{head}");
    Ok(body.to_owned())
}

/// Whether a connection to `address` from `netns` is accepted within 2 s.
///
/// # Errors
/// If the namespace cannot be entered.
pub fn connects(netns: &Netns, address: SocketAddr) -> anyhow::Result<bool> {
    Ok(netns.within(move || TcpStream::connect_timeout(&address, LIMIT))?.is_ok())
}
