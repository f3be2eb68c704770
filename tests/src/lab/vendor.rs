//! The vendors of groups' chats in the lab: an HTTP server that checks their signatures by code of
//! its own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// The secret that the bots here are set up with.
pub const BOT_SECRET: &str = "SEC0123456789abcdef";

/// What a bot was posted: the path with its query, and the body.
pub type Post = (String, Value);

/// A vendor, or any other HTTP server, that answers what `judge` says of each post.
///
/// # Errors
/// If no port is free.
pub fn vendor(judge: fn(&Post) -> &'static str) -> anyhow::Result<(u16, mpsc::Receiver<Post>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (sender, posts) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(post) = read_post(&stream) else { continue };
            let answer = judge(&post);
            let length = answer.len();
            let _ = write!(&stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}");
            if sender.send(post).is_err() {
                return;
            }
        }
    });
    Ok((port, posts))
}

fn read_post(stream: &TcpStream) -> Option<Post> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, serde_json::from_slice(&body).ok()?))
}

fn signature(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// As DingTalk's documentation has it: the sign is HMAC-SHA256 by the secret over the time in
/// milliseconds, a line's end, and the secret; in base64, with percent signs.
#[must_use]
pub fn dingtalk((path, body): &Post) -> &'static str {
    let field = |name: &str| {
        let query = path.split_once('?')?.1;
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        Some(pair?.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="))
    };
    let (Some(at), Some(sign)) = (field("timestamp"), field("sign")) else {
        return r#"{"errcode":300001,"errmsg":"no sign"}"#;
    };
    let right = sign == signature(BOT_SECRET, &format!("{at}\n{BOT_SECRET}"));
    match right && at.len() == 13 && body["msgtype"] == "text" && body["text"]["content"] != "" {
        true => r#"{"errcode":0,"errmsg":"ok"}"#,
        false => r#"{"errcode":310000,"errmsg":"sign not match"}"#,
    }
}

/// As Feishu's documentation has it: HMAC-SHA256 by the time in seconds, a line's end and the
/// secret, over nothing; in base64, in the body.
#[must_use]
pub fn feishu((_, body): &Post) -> &'static str {
    let at = body["timestamp"].as_str().unwrap_or_default();
    let right = body["sign"] == signature(&format!("{at}\n{BOT_SECRET}"), "").as_str();
    match right && at.len() == 10 && body["msg_type"] == "text" && body["content"]["text"] != "" {
        true => r#"{"code":0,"msg":"success","data":{}}"#,
        false => r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour"}"#,
    }
}
