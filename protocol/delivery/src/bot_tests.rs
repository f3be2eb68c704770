use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use super::*;

/// A vendor that answers every post alike, and says what came.
fn vendor(answer: &'static str) -> (Secret, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = Secret::new(format!("http://{}/bot?key=1", listener.local_addr().expect("bound")));
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            sender.send(String::from_utf8(body).expect("text")).expect("somebody listens");
            let length = answer.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}")
                .expect("written");
        }
    });
    (url, received)
}

fn channel() -> BotChannel {
    let policy = DestinationPolicy { private: true, loopback: true, plain_http: true };
    let here = || vec!["127.0.0.1".to_owned()];
    BotChannel::new(policy, BotKind::ALL.map(|kind| (kind, here())).into(), &[])
}

fn message(kind: BotKind, url: &Secret, text: &str) -> BotMessage {
    let secret = Secret::new(if kind.signs() { "SEC0123456789" } else { "" });
    let at = Timestamp::from_unix_ms(1_788_220_800_123);
    BotMessage { kind, url: url.clone(), secret, text: text.to_owned(), at }
}

#[tokio::test]
async fn a_status_of_200_proves_nothing_and_an_error_code_of_0_does() {
    for (kind, answer, grade) in [
        (BotKind::Wecom, r#"{"errcode":0,"errmsg":"ok"}"#, Some(Grade::E2)),
        (BotKind::Wecom, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, None),
        (BotKind::Dingtalk, r#"{"errcode":310000,"errmsg":"sign not match"}"#, None),
        (BotKind::Dingtalk, "<html>", None),
        (BotKind::Dingtalk, r#"{"code":0}"#, None),
        (BotKind::Feishu, r#"{"code":0,"msg":"success"}"#, Some(Grade::E2)),
        (BotKind::Feishu, r#"{"StatusCode":0}"#, Some(Grade::E2)),
        (BotKind::Feishu, r#"{"code":19021,"msg":"sign match fail"}"#, None),
    ] {
        let (url, _received) = vendor(answer);
        let (found, evidence) = match channel().send(message(kind, &url, "断网")).await {
            Answer::Accepted { grade, evidence } => (Some(grade), evidence),
            Answer::Failed { evidence } => (None, evidence),
        };
        assert_eq!(found, grade, "{evidence}");
        assert!(evidence.contains(answer), "the vendor's words stand: {evidence}");
        assert!(!evidence.contains("key=1"), "the URL is a secret: {evidence}");
    }
}

#[tokio::test]
async fn no_more_than_fifteen_in_a_minute_and_what_waits_goes_out_joined() {
    let (url, received) = vendor(r#"{"errcode":0}"#);
    let channel = channel();
    let begun = Instant::now();
    let mut sent = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (channel, message) =
            (channel.clone(), message(BotKind::Dingtalk, &url, &format!("通知-{number};")));
        sent.spawn(async move { channel.send(message).await });
    }
    let answers = sent.join_all().await;
    assert!(begun.elapsed() < Duration::from_secs(14), "within a try: {:?}", begun.elapsed());
    let accepted = |answer: &&Answer| matches!(answer, Answer::Accepted { grade: Grade::E2, .. });
    assert_eq!(answers.iter().filter(accepted).count(), 40, "each has the evidence");
    let bodies: Vec<String> = received.try_iter().collect();
    assert_eq!(bodies.len(), 6, "five, and the other thirty-five in one");
    let all = bodies.concat();
    for number in 0..40 {
        assert_eq!(all.matches(&format!("通知-{number};")).count(), 1, "{number} once");
    }
    assert!(bodies.iter().any(|body| body.contains("35 条通知")), "{bodies:?}");
}

#[test]
fn a_minute_holds_fifteen_however_they_come() {
    let now = Instant::now();
    let mut pace = Pace { full_at: now };
    let (mut at, mut times) = (now, Vec::new());
    for _ in 0..100 {
        at += pace.wait(at);
        pace.spend(at);
        times.push(at);
    }
    for (place, first) in times.iter().enumerate() {
        let minute = times[place..].iter().take_while(|at| **at < *first + 10 * INTERVAL);
        assert!(minute.count() <= 15);
    }
    assert_eq!(times[4], now, "five at once");
    assert_eq!(times[5], now + INTERVAL);
}

#[test]
fn a_digest_holds_whole_notices_and_no_more_than_the_vendor_takes() {
    let nowhere = Secret::new("https://qyapi.weixin.qq.com/");
    let waiting = |text: &str| Waiting {
        message: message(BotKind::Wecom, &nowhere, text),
        answer: oneshot::channel().0,
    };
    let mut line: VecDeque<Waiting> = (0..10).map(|_| waiting(&"断".repeat(200))).collect();
    let mut taken = 0;
    while !line.is_empty() {
        let batch = take(&mut line, usize::MAX, longest(BotKind::Wecom));
        let texts: Vec<&str> = batch.iter().map(|one| one.message.text.as_str()).collect();
        assert!(joined(&texts).len() <= longest(BotKind::Wecom));
        assert!(batch.len() == 3 || line.is_empty(), "as many as fit");
        taken += batch.len();
    }
    assert_eq!(taken, 10);
    let mut line: VecDeque<Waiting> = ["a", "b", "c"].map(waiting).into();
    line[1].message.secret = Secret::new("another one");
    assert_eq!(take(&mut line, usize::MAX, 2_048).len(), 1, "not with another's secret");
    let long = fitting(&"断".repeat(5_000), longest(BotKind::Wecom));
    assert!(long.len() <= 2_048 && long.ends_with(CUT_OFF) && long.starts_with("断断"));
}

#[tokio::test]
async fn a_bot_elsewhere_or_inward_gets_nothing() {
    let (url, received) = vendor(r#"{"errcode":0}"#);
    let policy = DestinationPolicy { private: true, loopback: true, plain_http: true };
    let elsewhere = BotChannel::new(policy, BTreeMap::new(), &[]);
    let inward =
        BotChannel { policy: DestinationPolicy { loopback: false, ..policy }, ..channel() };
    for channel in [elsewhere, inward] {
        let answer = channel.send(message(BotKind::Wecom, &url, "断网")).await;
        assert!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    }
    assert!(received.try_recv().is_err(), "nothing was sent");
}
