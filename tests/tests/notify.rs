//! The notice channels against small real servers: a webhook receiver that checks signatures with
//! code of its own, and a scripted SMTP server.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tenure_delivery::{
    Answer, Courier, Parcel,
    mail::{Mail, MailChannel, MailRoute, MailTls, MailWay, exchange::Exchanges},
    webhook::{WebhookChannel, WebhookMessage},
};
use tenure_protocol::{
    channel::{Channel, Grade, Secret, destination::DestinationPolicy},
    time::Timestamp,
};
use tenure_tests::lab::daemon::wait_for;

const KEY: &[u8; 24] = b"a key of 24 random bytes";
const LIMIT: Duration = Duration::from_secs(2);
const HERE: DestinationPolicy =
    DestinationPolicy { private: true, loopback: true, plain_http: true };

/// What a receiver was sent.
struct Received {
    headers: BTreeMap<String, String>,
    body: String,
}

/// An HTTP server that answers every request with `answer`, or not at all if that is empty.
fn receiver(answer: &'static str) -> (String, mpsc::Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let Some(request) = read_request(&stream) else { continue };
            if sender.send(request).is_err() {
                return;
            }
            if answer.is_empty() {
                silent.push(stream);
            } else {
                (&stream).write_all(answer.as_bytes()).expect("written");
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    });
    (url, received)
}

fn read_request(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { headers, body: String::from_utf8(body).ok()? })
}

fn send(url: &str, policy: DestinationPolicy) -> Answer {
    let message = WebhookMessage {
        url: url.to_owned(),
        secret: Secret::new(format!("whsec_{}", STANDARD.encode(KEY))),
        id: "msg_1".to_owned(),
        at: Timestamp::from_unix_ms(1_788_220_800_123),
        body: r#"{"text":"网络已断开"}"#.to_owned(),
    };
    WebhookChannel::new(policy, &[], LIMIT).send(&message)
}

fn failure(answer: &Answer) -> &str {
    match answer {
        Answer::Failed { evidence } => evidence,
        Answer::Accepted { .. } => panic!("accepted: {answer:?}"),
    }
}

#[test]
fn a_webhook_arrives_with_a_signature_that_another_implementation_verifies() {
    let (url, received) = receiver("HTTP/1.1 204 No Content\r\n\r\n");
    let answer = send(&url, HERE);
    let Answer::Accepted { grade: Grade::E2, evidence } = &answer else { panic!("{answer:?}") };
    assert!(evidence.contains("204"), "{evidence}");
    let Received { headers, body } = received.recv().expect("a request");
    let text = format!("{}.{}.{body}", headers["webhook-id"], headers["webhook-timestamp"]);
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key");
    mac.update(text.as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(headers["webhook-signature"], expected);
    assert_eq!(headers["webhook-timestamp"], "1788220800");
    assert_eq!(headers["content-type"], "application/json");
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let (url, received) =
        receiver("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
    assert!(failure(&send(&url, HERE)).contains("302"));
    assert!(received.recv().is_ok());
    assert!(received.try_recv().is_err(), "one request alone");
}

#[test]
fn an_error_of_the_receiver_is_kept_as_it_was_said() {
    let (url, _received) =
        receiver("HTTP/1.1 500 Oops\r\ncontent-length: 12\r\n\r\nno\x07database");
    let answer = send(&url, HERE);
    assert!(failure(&answer).contains("500"), "{answer:?}");
    assert!(failure(&answer).contains("no database"), "{answer:?}");
}

#[test]
fn a_silent_receiver_ends_in_time_as_a_failure() {
    let (url, _received) = receiver("");
    assert!(failure(&send(&url, HERE)).contains("timeout"));
}

#[test]
fn a_name_that_leads_inward_is_not_dialled() {
    let (url, received) = receiver("HTTP/1.1 204 No Content\r\n\r\n");
    let strict = DestinationPolicy { loopback: false, ..HERE };
    assert!(failure(&send(&url, strict)).contains("own machine"));
    // Debian's /etc/hosts gives this name to the machine itself; elsewhere it is not found.
    let by_name = url.replace("127.0.0.1", "ip6-localhost");
    failure(&send(&by_name, strict));
    assert!(received.try_recv().is_err(), "nothing was sent");
}

/// An SMTP server that answers each command by the first entry whose word begins it; an empty
/// answer is silence.
fn smtp_server(script: &'static [(&'static str, &'static str)]) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let sender = sender.clone();
            thread::spawn(move || serve_smtp(&stream, script, &sender));
        }
    });
    (port, received)
}

fn serve_smtp(mut stream: &TcpStream, script: &[(&str, &str)], sender: &mpsc::Sender<String>) {
    let reader = BufReader::new(stream);
    let mut mail = None::<String>;
    let _ = stream.write_all(b"220 test ESMTP\r\n");
    for line in reader.lines() {
        let Ok(line) = line else { return };
        if let Some(text) = &mut mail {
            if line == "." {
                let _ = sender.send(mail.take().unwrap_or_default());
                let _ = stream.write_all(b"250-2.0.0 Ok\r\n250 2.0.0 queued as 4F0B1\r\n");
            } else {
                text.push_str(&line);
                text.push('\n');
            }
            continue;
        }
        let scripted = script.iter().find(|(word, _)| line.starts_with(word));
        let answer = match (scripted, line.get(..4)) {
            (Some((_, answer)), _) => answer,
            (None, Some("EHLO")) => "250-test\r\n250 8BITMIME",
            (None, Some("DATA")) => {
                mail = Some(String::new());
                "354 go on"
            }
            (None, Some("QUIT")) => "221 bye",
            (None, _) => "250 2.1.0 Ok",
        };
        if !answer.is_empty() {
            let _ = stream.write_all(format!("{answer}\r\n").as_bytes());
        }
    }
}

fn channel(port: u16, domains: &[(&str, Grade)]) -> MailChannel {
    route(MailWay::Server { host: "127.0.0.1".to_owned(), port }, domains)
}

fn route(way: MailWay, domains: &[(&str, Grade)]) -> MailChannel {
    let route = MailRoute {
        way,
        from: "Tenure <tenure@provider.example>".parse().expect("an address"),
        tls: MailTls::Optional,
        grade: Grade::E1,
        domains: domains.iter().map(|(name, grade)| ((*name).to_owned(), *grade)).collect(),
    };
    MailChannel::new(route).expect("a channel")
}

async fn mail(channel: &MailChannel) -> Answer {
    mail_to(channel, "duty@customer.example").await
}

async fn mail_to(channel: &MailChannel, to: &str) -> Answer {
    let mail = Mail {
        to,
        subject: "紧急断网通知",
        text: "贵单位系统的网络已被临时断开。\n",
        message_id: "<1@tenure>",
    };
    channel.send(&mail, LIMIT).await
}

#[tokio::test]
async fn a_mail_is_accepted_and_the_reply_is_kept_word_for_word() {
    let (port, received) = smtp_server(&[]);
    let Answer::Accepted { grade, evidence } = mail(&channel(port, &[])).await else {
        panic!("not accepted");
    };
    assert_eq!(grade, Grade::E1, "our own smart host proves no more");
    assert!(evidence.ends_with("250 2.0.0 Ok\n2.0.0 queued as 4F0B1"), "{evidence}");
    let text = received.recv().expect("a mail");
    assert!(text.contains("Message-ID: <1@tenure>"), "{text}");
    assert!(text.contains("To: duty@customer.example"), "{text}");
}

#[tokio::test]
async fn acceptance_by_the_customers_own_server_proves_delivery() {
    let (port, _received) = smtp_server(&[]);
    let answer = mail(&channel(port, &[("customer.example", Grade::E2)])).await;
    assert!(matches!(answer, Answer::Accepted { grade: Grade::E2, .. }), "{answer:?}");
}

#[tokio::test]
async fn a_refused_recipient_is_a_failure_with_the_servers_words() {
    let (port, _received) = smtp_server(&[("RCPT", "550 5.1.1 no such user here")]);
    let answer = mail(&channel(port, &[])).await;
    assert!(failure(&answer).contains("550"), "{answer:?}");
    assert!(failure(&answer).contains("no such user here"), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_hangs_in_the_middle_ends_in_time_as_a_failure() {
    let (port, _received) = smtp_server(&[("RCPT", "")]);
    let answer = mail(&channel(port, &[])).await;
    assert!(
        failure(&answer).contains("no end within") || failure(&answer).contains("timed out"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let answer = mail(&channel(port, &[])).await;
    assert!(failure(&answer).contains("127.0.0.1"), "{answer:?}");
}

/// A real server of DNS with these records; dropping it ends it.
#[derive(Debug)]
struct Dns {
    child: Child,
    address: SocketAddr,
}

impl Dns {
    #[allow(clippy::disallowed_methods, reason = "runs a program that we did not write")]
    fn start(records: &[&str]) -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.expect("a port");
        let child = Command::new("dnsmasq")
            .args(["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null"])
            .args(["--bind-interfaces", "--listen-address=127.0.0.1", "--local=/example/"])
            .stderr(Stdio::null())
            .arg(format!("--port={}", address.port()))
            .args(records)
            .spawn()
            .expect("dnsmasq is installed");
        let dns = Self { child, address };
        let answers = || Ok(TcpStream::connect(address).is_ok().then_some(()));
        wait_for("dnsmasq", Duration::from_secs(10), answers).expect("it answers");
        dns
    }

    fn channel(&self, port: u16, policy: DestinationPolicy) -> MailChannel {
        let own = Exchanges { resolver: Some(self.address), port, policy };
        route(MailWay::Exchanges(own), &[("customer.example", Grade::E2)])
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn mail_goes_to_the_recipients_own_server_by_its_mx_records() {
    let dns = Dns::start(&[
        // The preferred one is not there.
        "--mx-host=customer.example,mx1.customer.example,10",
        "--mx-host=customer.example,mx2.customer.example,20",
        "--address=/mx1.customer.example/127.0.0.2",
        "--address=/mx2.customer.example/127.0.0.1",
        "--host-record=bare.example,127.0.0.1",
        "--mx-host=takes-none.example,.,0",
    ]);
    let (port, received) = smtp_server(&[]);
    let channel = dns.channel(port, HERE);
    let answer = mail(&channel).await;
    let Answer::Accepted { grade, evidence } = &answer else { panic!("{answer:?}") };
    assert_eq!(*grade, Grade::E2, "it is the customer's own");
    assert!(evidence.starts_with("mx2.customer.example [127.0.0.1]: 250 2.0.0 Ok"), "{evidence}");
    assert!(received.recv().expect("a mail").contains("To: duty@customer.example"));
    let answer = mail_to(&channel, "duty@bare.example").await;
    let Answer::Accepted { grade, evidence } = &answer else { panic!("{answer:?}") };
    assert!(evidence.starts_with("bare.example [127.0.0.1]: 250"), "without MX: {evidence}");
    assert_eq!(*grade, Grade::E1, "the site says so of other domains");

    let answer = mail_to(&channel, "duty@takes-none.example").await;
    assert!(failure(&answer).contains("takes no mail"), "{answer:?}");
    let answer = mail_to(&channel, "duty@unknown.example").await;
    assert!(failure(&answer).contains("cannot look up"), "{answer:?}");
    // A name that points to this machine reaches nothing of it.
    let away = dns.channel(port, DestinationPolicy { private: true, ..Default::default() });
    let answer = mail(&away).await;
    assert!(failure(&answer).contains("can be tried"), "{answer:?}");
}

#[tokio::test]
async fn a_refusal_by_the_recipients_server_is_final_and_one_that_hangs_leaves_time_for_the_next() {
    let dns = Dns::start(&[
        "--mx-host=customer.example,mx1.customer.example,10",
        "--mx-host=customer.example,mx2.customer.example,20",
        "--address=/mx1.customer.example/127.0.0.1",
        "--address=/mx2.customer.example/127.0.0.1",
    ]);
    let (port, _received) = smtp_server(&[("RCPT", "550 5.1.1 no such user here")]);
    let answer = mail(&dns.channel(port, HERE)).await;
    assert!(failure(&answer).contains("no such user here"), "{answer:?}");
    assert!(!failure(&answer).contains("mx2"), "it is not asked again: {answer:?}");
    let (port, _received) = smtp_server(&[("RCPT", "")]);
    let answer = mail(&dns.channel(port, HERE)).await;
    assert!(failure(&answer).contains("mx1") && failure(&answer).contains("mx2"), "{answer:?}");
}

#[tokio::test]
async fn what_waits_for_slow_receivers_keeps_no_notice_of_a_cut() {
    let (slow, _waiting) = receiver("");
    let (quick, received) = receiver("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n");
    let courier = Courier::new(None, WebhookChannel::new(HERE, &[], LIMIT));
    let parcel = |url: &str, urgent| Parcel {
        id: "1".to_owned(),
        channel: Channel::Webhook {
            url: url.to_owned(),
            secret: Secret::new(format!("whsec_{}", STANDARD.encode(KEY))),
        },
        subject: String::new(),
        body: String::new(),
        payload: "{}".to_owned(),
        urgent,
        at: Timestamp::from_unix_ms(1_700_000_000_000),
        receipt: None,
    };
    let others: Vec<_> = (0..64)
        .map(|_| {
            let (courier, parcel) = (courier.clone(), parcel(&slow, false));
            tokio::spawn(async move { courier.carry(parcel).await })
        })
        .collect();
    // All places of the others are taken.
    tokio::time::sleep(LIMIT / 8).await;
    let answer = courier.carry(parcel(&quick, true)).await;
    assert!(matches!(answer, Some(Answer::Accepted { .. })), "{answer:?}");
    assert!(others.iter().all(|other| !other.is_finished()), "they wait still");
    assert!(received.try_recv().is_ok());
    others.iter().for_each(tokio::task::JoinHandle::abort);
}
