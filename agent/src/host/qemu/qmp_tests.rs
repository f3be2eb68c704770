use std::{
    io::BufRead as _,
    os::{fd::AsFd, unix::net::UnixListener},
    path::PathBuf,
    thread::JoinHandle,
};

use super::*;

const LIMIT: Duration = Duration::from_secs(5);
const GREETING: &str = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";

/// A socket in a directory of its own, with somebody behind it who greets, and then answers each
/// line with what `answer` makes of it.
struct Peer {
    path: PathBuf,
    dir: File,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    fn new(name: &str, mut answer: impl FnMut(Value) -> String + Send + 'static) -> Self {
        let path = std::env::temp_dir().join(format!("tenure-qmp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("directory");
        let _ = std::fs::remove_file(path.join("qmp"));
        let listener = UnixListener::bind(path.join("qmp")).expect("listen");
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            (&stream).write_all(GREETING.as_bytes()).expect("greeting");
            for line in io::BufReader::new(&stream).lines().map_while(Result::ok) {
                let command = serde_json::from_str(&line).expect("a line of JSON");
                if (&stream).write_all(answer(command).as_bytes()).is_err() {
                    return;
                }
            }
        });
        let dir = File::open(&path).expect("open");
        Self { path, dir, thread: Some(thread) }
    }

    fn connect(&self) -> Qmp {
        Qmp::connect(&self.dir, "qmp", LIMIT).expect("connected")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.thread.take();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn returned(command: &Value) -> String {
    json!({"return": {}, "id": command["id"]}).to_string() + "\r\n"
}

#[test]
fn answers_are_matched_by_id_and_events_on_the_way_are_kept() {
    let peer = Peer::new("events", |command| {
        let event = json!({"event": "SHUTDOWN", "data": {}}).to_string();
        let stale = json!({"return": {"stale": true}, "id": 999}).to_string();
        format!("{event}\r\n{stale}\r\n{}", returned(&command))
    });
    let mut qmp = peer.connect();
    assert_eq!(qmp.ask("query-status", LIMIT).expect("answered"), json!({}));
    assert!(qmp.wait_event("SHUTDOWN", Duration::ZERO).expect("kept"));
    assert!(!qmp.wait_event("RESET", Duration::from_millis(10)).expect("none came"));
}

#[test]
fn a_refusal_is_told_in_qemus_words() {
    let peer = Peer::new("refusal", |command| {
        if command["execute"] == "qmp_capabilities" {
            return returned(&command);
        }
        let error = json!({"class": "GenericError", "desc": "no such node"});
        json!({"error": error, "id": command["id"]}).to_string() + "\n"
    });
    let refused = peer.connect().ask("blockdev-add", LIMIT).expect_err("refused").to_string();
    assert_eq!(refused, "QEMU refused `blockdev-add`: no such node (GenericError)");
}

#[test]
fn silence_noise_and_endless_lines_end_within_the_limit() {
    let peer = Peer::new("silence", |command| {
        if command["execute"] == "qmp_capabilities" { returned(&command) } else { String::new() }
    });
    let silent = peer.connect().ask("stop", Duration::from_millis(50)).expect_err("silence");
    assert!(matches!(silent, QmpFailure::TimedOut { .. }), "{silent}");

    let noise = |command: Value| {
        if command["execute"] == "qmp_capabilities" { returned(&command) } else { "noise\n".into() }
    };
    let peer = Peer::new("noise", noise);
    let noisy = peer.connect().ask("stop", LIMIT).expect_err("noise");
    assert!(matches!(noisy, QmpFailure::NotQmp { .. }), "{noisy}");

    let endless = |command: Value| {
        if command["execute"] == "qmp_capabilities" {
            returned(&command)
        } else {
            "x".repeat(MAX_LINE + (64 << 10))
        }
    };
    let peer = Peer::new("endless", endless);
    let long = peer.connect().ask("stop", LIMIT).expect_err("too long");
    assert!(matches!(long, QmpFailure::NotQmp { .. }), "{long}");
}

#[test]
fn a_command_that_is_said_to_carry_nothing_carries_nothing() {
    let command = QmpCommand {
        execute: "object-add",
        arguments: json!({"id": "key0"}),
        carries: Carries::Nothing,
    };
    let line = render(&command, 7, None);
    assert_eq!(
        std::str::from_utf8(&line),
        Ok("{\"execute\":\"object-add\",\"id\":7,\"arguments\":{\"id\":\"key0\"}}\n")
    );
    let _ = File::open("/dev/null").expect("open").as_fd();
}
