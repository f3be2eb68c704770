//! What one host may send, and that no other is disturbed by one that sends more.

use tenure_protocol::wire::v1::{InstanceObserved, Observation, Power};

use super::*;

/// The code and the words with which the controller closed.
async fn told(connection: &Connection) -> (u64, String) {
    match connection.closed().await {
        ConnectionError::ApplicationClosed(close) => {
            let words = String::from_utf8_lossy(&close.reason).into_owned();
            (close.error_code.into_inner(), words)
        }
        other => panic!("not closed by the controller: {other}"),
    }
}

async fn over_limit(connection: &Connection, what: &str) {
    let (code, words) = told(connection).await;
    assert_eq!(code, 9, "{words}");
    assert!(words.contains(what), "{words}");
}

fn alive(observation: Option<Observation>) -> KeepAlive {
    KeepAlive { sent_at: Timestamp::from_unix_ms(1), answers: None, observation }
}

/// Whether the session still answers.
async fn answers(session: &mut Session) -> bool {
    let (send, recv) = &mut session.control;
    write(send, Kind::KeepAlive, &alive(None)).await.is_ok() && read(recv).await.is_ok()
}

#[test]
fn a_host_that_floods_its_control_stream_is_told_and_disconnected_and_others_are_not() {
    with_site(|site| async move {
        let (one, two) = (join(&site, "h1").await, join(&site, "h2").await);
        let (one, two) = (enrol(one, 1).await, enrol(two, 2).await);
        let (mut flooding, mut quiet) = (connect(&one).await, connect(&two).await);
        while answers(&mut flooding).await {}
        over_limit(&flooding.connection, "control frames").await;
        assert!(answers(&mut quiet).await, "the other host is served");
        // A new session does not begin anew.
        let mut again = connect(&one).await;
        let mut answered = 0;
        while answers(&mut again).await {
            answered += 1;
        }
        assert!(answered < 10, "{answered}");
        assert!(answers(&mut quiet).await, "the other host is served");
    });
}

#[test]
fn a_host_that_connects_without_end_is_told_and_held_back_and_others_are_not() {
    with_site(|site| async move {
        let (one, two) = (join(&site, "h1").await, join(&site, "h2").await);
        let (one, two) = (enrol(one, 1).await, enrol(two, 2).await);
        let identity = || Some((one.chain.clone(), one.key.serialize_der()));
        let address = &one.join.command_address;
        for count in 0.. {
            assert!(count < 100, "it is never held back");
            // It says nothing: its session is counted before its Hello, if it may come in.
            let (endpoint, connection) =
                dial(&one.join, address, ALPN, identity()).await.expect("connected");
            let soon = tokio::time::timeout(Duration::from_millis(200), connection.closed()).await;
            if soon.is_ok() {
                over_limit(&connection, "sessions").await;
                break;
            }
            drop((endpoint, connection));
        }
        let mut quiet = connect(&two).await;
        assert!(answers(&mut quiet).await, "the other host comes in");
    });
}

#[test]
fn what_is_too_large_to_be_kept_ends_the_session_and_is_not_kept() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let seen = |count: u128| {
            let instances = (0..count).map(|number| InstanceObserved {
                instance: tenure_protocol::id::InstanceId::from_uuid(uuid::Uuid::from_u128(number)),
                tenant: tenure_protocol::id::TenantId::from_uuid(uuid::Uuid::nil()),
                power: Power::Running,
            });
            Some(Observation { instances: instances.collect(), ..Observation::default() })
        };
        let mut session = connect(&member).await;
        write(&mut session.control.0, Kind::KeepAlive, &alive(seen(2_048))).await.expect("sent");
        read(&mut session.control.1).await.expect("as many as may be are taken");
        write(&mut session.control.0, Kind::KeepAlive, &alive(seen(2_049))).await.expect("sent");
        over_limit(&session.connection, "2,048 instances").await;
        let admin = site.admin.clone();
        let hosts = api(&site, move |site| site.get(&admin, "/v1/hosts")).await.json;
        assert_eq!(hosts[0]["instances"].as_array().map(Vec::len), Some(2_048));

        let session = connect(&member).await;
        let [_cut, mut work] = lanes(&session).await;
        let order = tenure_protocol::id::OrderId::from_uuid(uuid::Uuid::nil());
        let state = OrderState::Done { outcome: Outcome::Wiped, envelopes: vec![vec![]; 1_025] };
        let report = Report { order, sequence: 1, at: Timestamp::from_unix_ms(1), state };
        write(&mut work.0, Kind::Report, &report).await.expect("sent");
        over_limit(&session.connection, "1,024 envelopes").await;
    });
}

#[test]
fn a_hello_with_a_word_beyond_the_limit_is_refused() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let identity = Some((member.chain.clone(), member.key.serialize_der()));
        let (_endpoint, connection) =
            dial(&member.join, &member.join.command_address, ALPN, identity).await.expect("in");
        let (mut send, _recv) = connection.open_bi().await.expect("a stream");
        let hello = Hello { agent_version: "9".repeat(129), ..hello() };
        write(&mut send, Kind::Hello, &hello).await.expect("sent");
        over_limit(&connection, "Hello").await;
        let admin = site.admin.clone();
        let hosts = api(&site, move |site| site.get(&admin, "/v1/hosts")).await.json;
        assert_eq!(hosts[0]["agent_version"], json!(null), "nothing was kept");
    });
}
