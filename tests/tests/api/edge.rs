//! The API's edge, with real sockets: slow peers, many connections, old TLS, large heads.

#![allow(clippy::disallowed_methods, reason = "the time that the controller takes is measured")]

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use super::*;

/// Longer than any limit of the edge.
const PATIENCE: Duration = Duration::from_secs(25);

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn dial(site: &InProcess) -> TcpStream {
    let stream = TcpStream::connect(site.api()).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

fn secure(
    site: &InProcess,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[u8],
) -> Result<Tls, io::Error> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(site.state.join("ca.pem")).expect("a root");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(connection, dial(site));
    stream.flush()?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn http1(site: &InProcess) -> Tls {
    secure(site, &[&TLS13], b"http/1.1").expect("TLS stands")
}

/// What comes until the peer closes; panics if it does not.
fn rest(stream: &mut impl io::Read) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("it is not closed"),
        // Closed without a farewell is closed.
        Err(_) => {}
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer of a connection that stays open.
fn one_answer(stream: &mut Tls) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"ok\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_peer_that_never_ends_its_head_is_closed_whether_it_is_the_first_or_not() {
    let site = site();
    let mut first = http1(&site);
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").expect("sent");
    let mut second = http1(&site);
    second.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    assert!(one_answer(&mut second).starts_with("HTTP/1.1 200"));
    second.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").expect("sent");
    let mut silent = dial(&site);
    for said in [rest(&mut first), rest(&mut second), rest(&mut silent)] {
        assert!(!said.contains("200"), "{said}");
    }
}

#[test]
fn one_address_does_not_take_all_places_and_gives_back_its_own() {
    let site = site();
    let mut held: Vec<TcpStream> = (0..64).map(|_| dial(&site)).collect();
    let mut refused = dial(&site);
    assert_eq!(rest(&mut refused), "", "closed at once");
    // Another address of this machine comes in.
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::empty(),
        None,
    )
    .expect("a socket");
    let here = nix::sys::socket::SockaddrIn::new(127, 0, 0, 2, 0);
    let there = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, site.api().port());
    nix::sys::socket::bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &here).expect("bound");
    nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &there).expect("in");
    let mut other = TcpStream::from(socket);
    other.set_read_timeout(Some(Duration::from_millis(300))).expect("set");
    let waits = other.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(waits, Err(io::ErrorKind::WouldBlock), "it waits for the client's hello");
    held.clear();
    tenure_tests::lab::daemon::wait_for("a place", PATIENCE, || {
        let answer = site.send("GET", "/healthz", &[], b"");
        Ok(answer.is_ok_and(|answer| answer.status == 200).then_some(()))
    })
    .expect("a place again");
}

#[test]
fn tls_of_before_1_3_is_refused() {
    let site = site();
    let error = secure(&site, &[&TLS12], b"http/1.1").expect_err("refused");
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    secure(&site, &[&TLS13, &TLS12], b"http/1.1").expect("1.3 stands");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let site = site();
    let many = (0..65).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    for fields in [many, format!("x: {}\r\n", "a".repeat(17 * 1024))] {
        let mut stream = http1(&site);
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let said = rest(&mut stream);
        assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    }
}

#[test]
fn http_2_says_how_many_streams_and_how_large_heads_may_be() {
    let site = site();
    let mut stream = secure(&site, &[&TLS13], b"h2").expect("TLS stands");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).expect("sent");
    // RFC 9113 §6.5: the server's first frame is SETTINGS, six bytes each.
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS");
    let mut settings = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
    stream.read_exact(&mut settings).expect("settings");
    let value = |id: u8| {
        let setting = settings.chunks(6).find(|setting| setting[..2] == [0, id]);
        setting.map(|setting| u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]))
    };
    assert_eq!(value(3), Some(32), "MAX_CONCURRENT_STREAMS");
    assert_eq!(value(6), Some(16 * 1024), "MAX_HEADER_LIST_SIZE");
}

/// More requests at once than one of the provider's persons has seats for.
const MANY: usize = 12;

/// A request whose body is long and never ends, while its connection stands.
fn endless_upload(site: &InProcess, token: &str, tenant: &str) -> Tls {
    let mut stream = http1(site);
    let head = format!(
        "POST /v1/tenants/{tenant}/attachments?name=a.pdf HTTP/1.1\r\nhost: x\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/pdf\r\n\
         content-length: 1000000\r\n\r\nbegun"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

/// Whether a request gets no answer for a while.
fn waits(stream: &mut Tls) -> bool {
    stream.sock.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    let waits = stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    stream.sock.set_read_timeout(Some(PATIENCE)).expect("set");
    waits
}

#[test]
fn a_cut_is_ordered_while_slow_requests_have_all_seats_of_the_one_who_orders_it() {
    let site = site();
    site.host("alpha").expect("a host");
    let customer = site.token("zhang.wei", "customer", Some("city-archive")).expect("a token");
    let reviewer = site.token("he.jun", "reviewer", None).expect("a token");
    let operator = site.token("wang.lei", "operator", None).expect("a token");
    let made = site.post(&customer, "/v1/applications", &application("city-archive"));
    let tenant = made.expect("made").json["id"].as_str().expect("an id").to_owned();
    let approve = json!({"decision": "approve", "opinion": "sound"});
    let path = format!("/v1/tenants/{tenant}");
    let answer = site.post(&reviewer, &format!("{path}/review"), &approve).expect("an answer");
    assert_eq!(answer.json["phase"], "configuring", "{answer:?}");

    let held: Vec<Tls> = (0..MANY).map(|_| endless_upload(&site, &operator, &tenant)).collect();
    let ask = || {
        let mut stream = http1(&site);
        let head = format!(
            "GET /v1/clock HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {operator}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream
    };
    let mut waiting = tenure_tests::lab::daemon::wait_for("no seat", PATIENCE, || {
        let mut stream = ask();
        Ok(waits(&mut stream).then_some(stream))
    })
    .expect("all seats are taken");
    let cut = json!({"kind": "emergency", "reason": "attack"});
    let answer = site.post(&operator, &format!("{path}/cut"), &cut).expect("an answer");
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(waits(&mut waiting), "nobody has left a seat yet");
    drop(held);
    let mut status = [0; 12];
    waiting.read_exact(&mut status).expect("an answer, once there are seats");
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// What a client of HTTP/2 says first: its preface and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A GET of the clock with this token, as HPACK without tables.
fn clock_request(token: &str) -> Vec<u8> {
    let text = |bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).expect("short");
        [&[length][..], bytes].concat()
    };
    let bearer = format!("Bearer {token}");
    let block = [
        // :method GET, :scheme https, and literals for :path and :authority.
        vec![0x82, 0x87, 0x04],
        text(b"/v1/clock"),
        vec![0x01],
        text(b"localhost"),
        vec![0x00],
        text(b"authorization"),
        text(bearer.as_bytes()),
    ]
    .concat();
    let length = u8::try_from(block.len()).expect("short");
    // HEADERS of stream 1, which ends with them.
    [vec![0, 0, length, 1, 5, 0, 0, 0, 1], block].concat()
}

/// How long a connection of HTTP/2 stays on which this is said, whose client answers every ping and
/// says nothing else; no longer than `most`. And whether anything was answered.
fn stays(site: &InProcess, says: &[u8], most: Duration) -> (Duration, bool) {
    let mut stream = secure(site, &[&TLS13], b"h2").expect("TLS stands");
    let began = std::time::Instant::now();
    stream.sock.set_read_timeout(Some(most)).expect("set");
    stream.write_all(&[PREFACE, says].concat()).expect("sent");
    let mut answered = false;
    while began.elapsed() < most {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            break;
        }
        let mut body = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
        if stream.read_exact(&mut body).is_err() {
            break;
        }
        answered |= head[3] == 1;
        if (head[3], head[4]) == (6, 0) {
            let ping = [&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &body].concat();
            stream.write_all(&ping).expect("sent");
        }
    }
    (began.elapsed(), answered)
}

#[test]
fn a_connection_on_which_nobody_is_authenticated_ends_and_another_may_rest() {
    let site = site();
    let token = site.token("sun.li", "auditor", None).expect("a token");
    let most = Duration::from_secs(50);
    let [silent, wrong, known] = std::thread::scope(|scope| {
        let requests = [Vec::new(), clock_request("nonsense"), clock_request(&token)];
        requests
            .map(|says| {
                let site = &site;
                scope.spawn(move || stays(site, &says, most))
            })
            .map(|one| one.join().expect("no panic"))
    });
    assert!(silent.0 < Duration::from_secs(45), "{silent:?}");
    assert!(wrong.1 && wrong.0 < Duration::from_secs(45), "{wrong:?}");
    assert!(known.1 && known.0 >= Duration::from_secs(45), "{known:?}");
}

#[test]
fn slow_uploads_of_one_person_hold_up_nobody_and_are_ended() {
    let site = site();
    let operator = site.token("wang.lei", "operator", None).expect("a token");
    let other = site.token("zhao.min", "security", None).expect("a token");
    let head = format!(
        "POST /v1/platform/attachments?name=a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \
         {operator}\r\ncontent-type: text/plain\r\ncontent-length: 1000000\r\n\r\nslow"
    );
    let mut slow: Vec<Tls> = (0..8).map(|_| http1(&site)).collect();
    for stream in &mut slow {
        stream.write_all(head.as_bytes()).expect("sent");
    }
    let incoming = site.state.join("attachments").join("incoming");
    tenure_tests::lab::daemon::wait_for("two uploads", PATIENCE, || {
        let begun = std::fs::read_dir(&incoming).map(Iterator::count).unwrap_or_default();
        Ok((begun >= 2).then_some(()))
    })
    .expect("they are under way");
    let began = std::time::Instant::now();
    let bearer = format!("Bearer {other}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
    let path = "/v1/platform/attachments?name=b";
    let answer = site.send("POST", path, &headers, b"quick").expect("an answer");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // The first that was let in, whichever it is.
    let wait = Duration::from_secs(60);
    let ended = std::thread::scope(|scope| {
        let all: Vec<_> = slow
            .into_iter()
            .map(|mut stream| {
                stream.sock.set_read_timeout(Some(wait)).expect("set");
                scope.spawn(move || {
                    let mut bytes = [0; 64];
                    let read = stream.read(&mut bytes).unwrap_or(0);
                    String::from_utf8_lossy(&bytes[..read]).into_owned()
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(ended.iter().filter(|said| said.starts_with("HTTP/1.1 408")).count() >= 2, "{ended:?}");
}
