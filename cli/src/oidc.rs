//! `tenurectl login --oidc`: a person signs in at an OpenID provider, in a browser on this machine,
//! and comes back on loopback (RFC 8252).
//!
//! ```text
//!  attempt ─▶ address for the browser ─▶ … ─▶ 127.0.0.1:port/callback?state&code ─▶ session
//! ```
//! What comes to the port without the attempt's state is of somebody else, and changes nothing.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    api::Api,
    failure::Failure,
    pause,
    screen::{Screen, cell},
};

/// How long the browser may take: the controller waits no longer.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whether the browser has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one connection may take.
const CONNECTION_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: u64 = 16 * 1024;
/// Where the provider sends the browser.
const PATH: &str = "/callback";

/// Options of `login` for it.
#[derive(Debug, clap::Args)]
pub(crate) struct OidcArgs {
    /// Sign in at an OpenID provider of the controller, in a browser on this machine; its name may
    /// be left out if there is one
    #[arg(long, value_name = "PROVIDER", num_args = 0..=1)]
    #[arg(conflicts_with_all = ["name", "password_file", "new_password_file"])]
    pub(crate) oidc: Option<Option<String>>,
    /// Port of 127.0.0.1 for the browser, for providers that must know it, or behind a tunnel
    #[arg(long, value_name = "PORT", requires = "oidc", conflicts_with = "name")]
    #[arg(value_parser = clap::value_parser!(u16).range(1024..))]
    pub(crate) listen: Option<u16>,
}

/// What is known of a request at the port.
enum Visit {
    /// The provider's answer to our attempt.
    Ours(BTreeMap<String, Zeroizing<String>>),
    /// Anything else.
    Other,
}

/// Signs in; returns the controller's answer, with the session.
pub(crate) fn enter(
    api: &Api,
    provider: Option<&str>,
    port: Option<u16>,
    screen: &Screen,
) -> Result<Value, Failure> {
    let port = port.unwrap_or_default();
    let failed = |error: io::Error| {
        Failure::Usage(format!("cannot listen on 127.0.0.1:{port} for the browser: {error}"))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let mut asked = json!({ "redirect_port": port });
    if let Some(provider) = provider {
        asked["provider"] = provider.into();
    }
    let begun = api.post_once("/v1/oidc/attempts", &asked)?;
    let url = cell(&begun, &["/authorization_url"]);
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let state = once(query).and_then(|mut query| query.remove("state"));
    let Some(state) = state else {
        let sentence = "the controller gave no address to sign in at: ask its operators";
        return Err(Failure::Ended(sentence.to_owned()));
    };
    screen.tell("Open this address in a browser on this machine, and sign in:");
    screen.tell(&url);
    let returned = wait(&listener, &state).map_err(failed)?.ok_or_else(|| {
        Failure::Unfinished("nobody came back from the provider: try again".to_owned())
    })?;
    let member = |name: &str| returned.get(name).map(|text| text.as_str());
    if let Some(error) = member("error") {
        let words = member("error_description").unwrap_or_default();
        return Err(Failure::Ended(format!("the provider let nobody in: {error} {words}")));
    }
    let mut body = json!({
        "attempt_token": begun["attempt_token"],
        "state": state.as_str(),
        "code": member("code").unwrap_or_default(),
    });
    if let Some(iss) = member("iss") {
        body["iss"] = iss.into();
    }
    api.post_once("/v1/oidc/sessions", &body)
}

/// Waits for the browser; nothing if it does not come in time.
fn wait(
    listener: &TcpListener,
    state: &str,
) -> io::Result<Option<BTreeMap<String, Zeroizing<String>>>> {
    let begun = pause::now();
    while begun.elapsed() < LIMIT {
        match listener.accept() {
            // A connection that breaks is one of many that a browser makes.
            Ok((stream, _)) => {
                if let Ok(Visit::Ours(returned)) = receive(stream, state) {
                    return Ok(Some(returned));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pause::pause(LOOK_EVERY),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads one request and answers it.
fn receive(mut stream: TcpStream, state: &str) -> io::Result<Visit> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(CONNECTION_LIMIT))?;
    stream.set_write_timeout(Some(CONNECTION_LIMIT))?;
    let mut head = Zeroizing::new(Vec::new());
    let mut part = Zeroizing::new([0; 1024]);
    let begun = pause::now();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = (&mut stream).take(MAX_HEAD_BYTES).read(part.as_mut_slice())?;
        let late = begun.elapsed() > CONNECTION_LIMIT;
        if read == 0 || late || head.len() as u64 > MAX_HEAD_BYTES {
            return Ok(Visit::Other);
        }
        head.extend_from_slice(part.get(..read).unwrap_or_default());
    }
    let visit = visit(&head, state);
    let (status, words) = match &visit {
        Visit::Ours(_) => ("200 OK", "tenurectl has the answer. This window can be closed.\n"),
        Visit::Other => ("404 Not Found", "tenurectl waits for something else here.\n"),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\n\
         connection: close\r\n\r\n{words}",
        words.len()
    )?;
    Ok(visit)
}

fn visit(head: &[u8], state: &str) -> Visit {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let query = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.strip_prefix("GET ")?.split(' ').next()?.strip_prefix(PATH))
        .and_then(|rest| rest.strip_prefix('?'));
    let returned = query.and_then(once);
    let is_ours = |returned: &BTreeMap<String, Zeroizing<String>>| {
        returned.get("state").is_some_and(|given| **given == *state)
    };
    match returned.filter(is_ours) {
        Some(returned) => Visit::Ours(returned),
        None => Visit::Other,
    }
}

/// A query's parameters; nothing if one stands there twice.
fn once(query: &str) -> Option<BTreeMap<String, Zeroizing<String>>> {
    let mut found = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if found.insert(name.into_owned(), Zeroizing::new(value.into_owned())).is_some() {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ours(line: &str) -> bool {
        matches!(visit(format!("{line}\r\nhost: x\r\n\r\n").as_bytes(), "s"), Visit::Ours(_))
    }

    #[test]
    fn only_an_answer_with_our_state_is_ours() {
        assert!(is_ours("GET /callback?code=c&state=s HTTP/1.1"));
        for other in [
            "GET /callback?code=c&state=t HTTP/1.1",
            "GET /callback?code=c HTTP/1.1",
            "GET /callback?state=s&state=s HTTP/1.1",
            "GET /favicon.ico?state=s HTTP/1.1",
            "POST /callback?state=s HTTP/1.1",
            "GET /callback HTTP/1.1",
            "",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
