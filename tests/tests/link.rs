//! The link from the outside: a small agent of the test's own, over real QUIC.

#[path = "link/attested.rs"]
mod attested;
#[path = "link/blocked.rs"]
mod blocked;
#[path = "link/limits.rs"]
mod limits;
#[path = "link/rejoin.rs"]
mod rejoin;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use attested::attested;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream,
    crypto::rustls::QuicClientConfig,
};
use rustls::{RootCertStore, pki_types::PrivateKeyDer};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tenure_controller::{
    clock::Clock,
    link::{
        authority,
        stream::{read, write},
    },
};
use tenure_protocol::{
    digest::Digest,
    id::HostId,
    time::Timestamp,
    wire::{
        ALPN, ALPN_ENROL, ENROL_EXPORTER_LABEL,
        frame::{Frame, Kind},
        join::JoinToken,
        order::SignedOrder,
        v1::{
            Action, EnrolAnswer, EnrolRequest, Hello, HostFacts, KeepAlive, Lane, LaneOpen, Nack,
            Order, OrderState, Outcome, RenewAnswer, RenewRequest, Report, ReportReceipt, Welcome,
            enrol_message,
        },
    },
};
use tenure_tests::lab::in_process::{InProcess, application};

/// A host that was taken in: what it needs to connect.
struct Member {
    host: HostId,
    join: JoinToken,
    chain: Vec<CertificateDer<'static>>,
    key: rcgen::KeyPair,
    host_key: SigningKey,
}

/// A session of a host, up.
struct Session {
    connection: Connection,
    control: (SendStream, RecvStream),
    welcome: Welcome,
    _endpoint: Endpoint,
}

fn site(clock: Clock) -> InProcess {
    InProcess::start(clock).expect("a controller")
}

/// Runs a test against a controller of its own, within a limit.
fn with_site<F: Future<Output = ()>>(test: impl FnOnce(Arc<InProcess>) -> F) {
    let site = Arc::new(site(Clock::staged()));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let limited = tokio::time::timeout(Duration::from_secs(30), test(site.clone()));
        limited.await.expect("within 30 s");
    });
}

async fn api<T: Send + 'static>(
    site: &Arc<InProcess>,
    call: impl FnOnce(&InProcess) -> anyhow::Result<T> + Send + 'static,
) -> T {
    let site = site.clone();
    tokio::task::spawn_blocking(move || call(&site)).await.expect("runs").expect("an answer")
}

async fn join(site: &Arc<InProcess>, name: &'static str) -> JoinToken {
    api(site, move |site| site.join_token(name)).await.parse().expect("a token")
}

async fn dial(
    token: &JoinToken,
    address: &str,
    alpn: &[u8],
    identity: Option<(Vec<CertificateDer<'static>>, Vec<u8>)>,
) -> Result<(Endpoint, Connection), ConnectionError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(token.ca_der.clone())).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut tls = match identity {
        Some((chain, key)) => {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
            tls.with_client_auth_cert(chain, key).expect("an identity")
        }
        None => tls.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("QUIC")));
    let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    endpoint.set_default_client_config(config);
    let address = address.parse().expect("an address");
    let connection = endpoint.connect(address, &token.server_name).expect("a name").await?;
    Ok((endpoint, connection))
}

fn sign(connection: &Connection, key: &SigningKey, csr: &[u8]) -> Vec<u8> {
    let mut exporter = [0; 32];
    connection.export_keying_material(&mut exporter, ENROL_EXPORTER_LABEL, b"").expect("exported");
    key.sign(&enrol_message(&exporter, csr)).to_bytes().to_vec()
}

fn csr(key: &rcgen::KeyPair) -> Vec<u8> {
    rcgen::CertificateParams::default().serialize_request(key).expect("a request").der().to_vec()
}

async fn request_enrolment(
    join: &JoinToken,
    host_key: &SigningKey,
    key: &rcgen::KeyPair,
    change: impl FnOnce(&mut EnrolRequest),
) -> EnrolAnswer {
    let (_endpoint, connection) =
        dial(join, &join.enrol_address, ALPN_ENROL, None).await.expect("connected");
    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
    let csr = csr(key);
    let mut request = EnrolRequest {
        secret: join.secret,
        host_name: join.host_name.clone(),
        signature: sign(&connection, host_key, &csr),
        csr,
        host_key: host_key.verifying_key().to_bytes(),
    };
    change(&mut request);
    write(&mut send, Kind::EnrolRequest, &request).await.expect("sent");
    read(&mut recv).await.expect("an answer").decode(Kind::EnrolAnswer).expect("an answer")
}

fn host_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

async fn enrol(join: JoinToken, seed: u8) -> Member {
    let key = rcgen::KeyPair::generate().expect("a key");
    let host_key = host_key(seed);
    match request_enrolment(&join, &host_key, &key, |_| {}).await {
        EnrolAnswer::Accepted { host, chain } => {
            let chain = chain.into_iter().map(CertificateDer::from).collect();
            Member { host, join, chain, key, host_key }
        }
        EnrolAnswer::Refused { code, message } => panic!("{code}: {message}"),
    }
}

fn hello() -> Hello {
    Hello {
        agent_version: "0.0.0-test".to_owned(),
        boot_id: "boot".to_owned(),
        facts: HostFacts {
            cpus: 8,
            memory_bytes: 8 << 30,
            volume_bytes: 64 << 30,
            accelerator: "tcg".to_owned(),
            kernel: "6.1".to_owned(),
        },
    }
}

async fn connect(member: &Member) -> Session {
    let identity = (member.chain.clone(), member.key.serialize_der());
    let (endpoint, connection) =
        dial(&member.join, &member.join.command_address, ALPN, Some(identity))
            .await
            .expect("connected");
    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
    write(&mut send, Kind::Hello, &hello()).await.expect("sent");
    let welcome = read(&mut recv).await.expect("welcome").decode(Kind::Welcome).expect("welcome");
    Session { connection, control: (send, recv), welcome, _endpoint: endpoint }
}

/// The lanes as the controller opens them: cut first.
async fn lanes(session: &Session) -> [(SendStream, RecvStream); 2] {
    let mut lanes = Vec::new();
    for want in [Lane::Cut, Lane::Work] {
        let (send, mut recv) = session.connection.accept_bi().await.expect("a lane");
        let open: LaneOpen =
            read(&mut recv).await.expect("open").decode(Kind::LaneOpen).expect("open");
        assert_eq!(open.lane, want);
        lanes.push((send, recv));
    }
    lanes.try_into().unwrap_or_else(|_| panic!("two lanes"))
}

async fn closed(connection: &Connection) -> u64 {
    match connection.closed().await {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("not closed by the controller: {other}"),
    }
}

fn refused(answer: EnrolAnswer) -> String {
    match answer {
        EnrolAnswer::Refused { message, .. } => message,
        EnrolAnswer::Accepted { host, .. } => panic!("{host} was taken in"),
    }
}

#[test]
fn a_host_enrols_and_is_up_as_the_one_that_its_certificate_names() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let session = connect(&member).await;
        assert_eq!(session.welcome.host, member.host);
        let admin = site.admin.clone();
        let hosts = api(&site, move |site| site.get(&admin, "/v1/hosts")).await.json;
        assert_eq!(hosts[0]["id"], member.host.to_string());
        assert_eq!(hosts[0]["name"], "h1");
        assert_eq!(hosts[0]["up"], true);
        assert_eq!(hosts[0]["facts"]["cpus"], 8);
    });
}

#[test]
fn a_wrong_token_or_a_request_of_another_session_takes_no_host_in() {
    with_site(|site| async move {
        let join = join(&site, "h1").await;
        let (host_key, key) = (host_key(1), rcgen::KeyPair::generate().expect("a key"));
        let wrong = request_enrolment(&join, &host_key, &key, |request| request.secret = [7; 32]);
        assert!(refused(wrong.await).contains("not known"));
        let renamed = request_enrolment(&join, &host_key, &key, |request| {
            request.host_name = "h2".to_owned()
        });
        assert!(refused(renamed.await).contains("\"h1\""));
        let unsigned =
            request_enrolment(&join, &host_key, &key, |request| request.signature[0] ^= 1);
        assert!(refused(unsigned.await).contains("not signed"));
        let garbage = request_enrolment(&join, &host_key, &key, |request| request.csr.truncate(9));
        assert!(refused(garbage.await).contains("certificate request"));
        enrol(join, 1).await;
    });
}

#[test]
fn an_expired_token_is_refused() {
    let now = Clock::system().now();
    let site = Arc::new(site(Clock::simulated(now)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    runtime.block_on(async {
        let join = join(&site, "h1").await;
        site.clock.set(join.expires_at);
        let key = rcgen::KeyPair::generate().expect("a key");
        let late = request_enrolment(&join, &host_key(1), &key, |_| {}).await;
        assert!(refused(late).contains("expired"));
    });
}

#[test]
fn no_certificate_and_a_foreign_one_do_not_reach_the_command_port() {
    with_site(|site| async move {
        let mut member = enrol(join(&site, "h1").await, 1).await;
        let foreign = authority::create(Clock::system().now()).expect("an authority");
        let foreign = authority::Authority::load(
            &foreign.root,
            &foreign.intermediate,
            &foreign.intermediate_key,
        )
        .expect("loads");
        let request = authority::HostRequest::parse(&csr(&member.key)).expect("a request");
        let chain = foreign.issue_host(member.host, &request, Clock::system().now());
        member.chain = chain.expect("a chain").into_iter().map(CertificateDer::from).collect();
        let theirs = Some((member.chain.clone(), member.key.serialize_der()));
        for identity in [None, theirs] {
            let address = member.join.command_address.clone();
            // A client of TLS 1.3 is "connected" before the server has looked at its certificate.
            let error = match dial(&member.join, &address, ALPN, identity).await {
                Ok((_endpoint, connection)) => connection.closed().await,
                Err(error) => error,
            };
            assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
            assert!(error.to_string().contains("cert"), "{error}");
        }
    });
}

#[test]
fn a_frame_that_is_too_long_ends_the_session_and_an_unknown_kind_does_not() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let mut session = connect(&member).await;
        let (send, recv) = &mut session.control;
        let unknown = Frame { kind: 999, version: 1, body: vec![1, 2, 3] };
        send.write_all(&unknown.to_bytes()).await.expect("sent");
        let nack: Nack = read(recv).await.expect("a nack").decode(Kind::Nack).expect("a nack");
        assert_eq!(nack.kind, 999);
        let sent_at = Timestamp::from_unix_ms(77);
        let alive = KeepAlive { sent_at, answers: None, observation: None };
        write(send, Kind::KeepAlive, &alive).await.expect("sent");
        let answer: KeepAlive =
            read(recv).await.expect("an answer").decode(Kind::KeepAlive).expect("an answer");
        assert_eq!(answer.answers, Some(sent_at));
        send.write_all(&[0, 16, 0, 1]).await.expect("sent");
        assert_eq!(closed(&session.connection).await, 4, "the protocol was broken");
    });
}

#[test]
fn a_second_session_of_a_host_replaces_the_first() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let first = connect(&member).await;
        let _second = connect(&member).await;
        assert_eq!(closed(&first.connection).await, 2, "a newer session took over");
        let admin = site.admin.clone();
        let hosts = api(&site, move |site| site.get(&admin, "/v1/hosts")).await.json;
        assert_eq!(hosts[0]["up"], true);
    });
}

#[test]
fn a_host_renews_its_certificate_with_its_host_key() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let mut session = connect(&member).await;
        let csr = csr(&rcgen::KeyPair::generate().expect("a key"));
        let mut signature = sign(&session.connection, &member.host_key, &csr);
        let (send, recv) = &mut session.control;
        let request = RenewRequest { csr: csr.clone(), signature: signature.clone() };
        write(send, Kind::RenewRequest, &request).await.expect("sent");
        let answer = read(recv).await.expect("an answer").decode(Kind::RenewAnswer);
        let RenewAnswer::Accepted { chain } = answer.expect("an answer") else { panic!("refused") };
        let identity = authority::HostIdentity::of_certificate(&chain[0]).expect("a host");
        assert_eq!(identity.host, member.host);
        signature[5] ^= 1;
        write(send, Kind::RenewRequest, &RenewRequest { csr, signature }).await.expect("sent");
        let answer = read(recv).await.expect("an answer").decode(Kind::RenewAnswer);
        assert!(matches!(answer, Ok(RenewAnswer::Refused { .. })), "{answer:?}");
    });
}

#[test]
fn a_session_ends_when_its_certificate_does() {
    let now = Clock::system().now();
    let site = Arc::new(site(Clock::simulated(now)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    runtime.block_on(async {
        let member = enrol(join(&site, "h1").await, 1).await;
        let session = connect(&member).await;
        site.clock.set(now.plus_ms(25 * 3600 * 1000));
        let end = tokio::time::timeout(Duration::from_secs(20), closed(&session.connection)).await;
        assert_eq!(end.expect("within 20 s"), 3, "the certificate has expired");
    });
}

/// An approved tenant on the only host.
async fn approve(site: &Arc<InProcess>) -> String {
    api(site, |site| {
        let customer = site.token("zhang.wei", "customer", Some("city-archive"))?;
        let reviewer = site.token("li.na", "reviewer", None)?;
        let made = site.post(&customer, "/v1/applications", &application("city-archive"))?;
        let id = made.json["id"].as_str().unwrap_or_default().to_owned();
        let review = json!({"decision": "approve", "opinion": "complete"});
        let answer = site.post(&reviewer, &format!("/v1/tenants/{id}/review"), &review)?;
        anyhow::ensure!(answer.json["phase"] == "configuring", "{answer:?}");
        Ok(id)
    })
    .await
}

async fn next_order(member: &Member, recv: &mut RecvStream) -> (Order, Digest) {
    let signed: SignedOrder =
        read(recv).await.expect("an order").decode(Kind::Order).expect("an order");
    let key = VerifyingKey::from_bytes(&member.join.order_key).expect("a key");
    (signed.verify(&key).expect("signed by the pinned key"), signed.digest())
}

async fn report(lane: &mut (SendStream, RecvStream), report: &Report) {
    write(&mut lane.0, Kind::Report, report).await.expect("sent");
    let receipt: ReportReceipt =
        read(&mut lane.1).await.expect("a receipt").decode(Kind::ReportReceipt).expect("a receipt");
    assert_eq!((receipt.order, receipt.sequence), (report.order, report.sequence));
}

#[test]
fn an_order_is_sent_again_after_a_reconnect_until_it_is_done() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let session = connect(&member).await;
        let [_cut, mut work] = lanes(&session).await;
        let tenant = approve(&site).await;
        let (order, digest) = next_order(&member, &mut work.1).await;
        assert_eq!((order.host, order.tenant.to_string()), (member.host, tenant.clone()));
        let Action::Configure(wanted) = &order.action else { panic!("{order:?}") };
        let at = Clock::system().now();
        let journalled = Report { order: order.id, sequence: 1, at, state: OrderState::Journalled };
        report(&mut work, &journalled).await;

        let session = connect(&member).await;
        let [_cut, mut work] = lanes(&session).await;
        let again = next_order(&member, &mut work.1).await.0;
        assert_eq!(again, order);
        let instances = wanted
            .instances
            .iter()
            .map(|instance| tenure_protocol::wire::v1::InstanceObserved {
                instance: instance.instance,
                tenant: order.tenant,
                power: instance.power,
            })
            .collect();
        let envelopes = vec![attested(member.host, &member.host_key, (&order, digest), wanted)];
        let state = OrderState::Done { outcome: Outcome::Configured { instances }, envelopes };
        let done = Report { order: order.id, sequence: 2, at, state };
        report(&mut work, &done).await;
        report(&mut work, &done).await;

        let path = format!("/v1/orders/{}", order.id);
        let admin = site.admin.clone();
        let shown = api(&site, move |site| site.get(&admin, &path)).await.json;
        assert_eq!(shown["state"], "done", "{shown}");
    });
}
