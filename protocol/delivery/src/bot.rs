//! Bots in groups' chats: `WeCom`, `DingTalk` and Feishu. A 2xx alone says nothing: the body has an
//! error code, and 0 means that the message is in the chat that the customer designated.
//!
//! The vendors block a bot for minutes above 20 messages in one. So each URL gets [`BURST`] at once
//! and one every [`INTERVAL`], which is 15 in a minute at most; what comes faster waits for the
//! next turn, and all that waits goes out joined, as far as the vendor's longest message holds it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tenure_protocol::{
    channel::{
        BotKind, Grade, Secret,
        destination::{self, DestinationPolicy},
    },
    time::Timestamp,
};
use tokio::{
    sync::oneshot,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use ureq::{Agent, http::StatusCode};

use crate::{Answer, outgoing};

/// Messages to one bot at once, after a rest.
pub const BURST: u32 = 5;
/// Between two messages to one bot, in the long run.
pub const INTERVAL: Duration = Duration::from_secs(6);
/// Longest post: with the longest wait before it, a try ends within its lease.
pub const POST_LIMIT: Duration = Duration::from_secs(4);
/// Bots of which it is known how many messages they got.
const LINES: usize = 10_000;
/// Between two notices in one message.
const RULE: &str = "\n\n--------\n\n";
/// The end of a text that is longer than the vendor takes.
const CUT_OFF: &str = "…（全文见其他渠道 / in full over the other channels）";

/// One message to one bot.
#[derive(Debug, Clone)]
pub struct BotMessage {
    /// Whose bot.
    pub kind: BotKind,
    /// Where to post.
    pub url: Secret,
    /// The signing secret; empty if the vendor has none.
    pub secret: Secret,
    /// What to say.
    pub text: String,
    /// When this try is made.
    pub at: Timestamp,
}

/// Posts to bots.
#[derive(Debug, Clone)]
pub struct BotChannel {
    agent: Agent,
    policy: DestinationPolicy,
    sites: Arc<BTreeMap<BotKind, Vec<String>>>,
    lines: Arc<Mutex<HashMap<String, Arc<Line>>>>,
}

/// Those who want to post to one bot.
#[derive(Debug)]
struct Line {
    pace: tokio::sync::Mutex<Pace>,
    waiting: Mutex<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    message: BotMessage,
    answer: oneshot::Sender<Answer>,
}

/// A bucket that fills up steadily (generic cell rate algorithm): when it would be full again.
#[derive(Debug)]
struct Pace {
    full_at: Instant,
}

impl Pace {
    /// How long the next message has to wait.
    fn wait(&self, now: Instant) -> Duration {
        let filled = self.full_at.saturating_duration_since(now) + INTERVAL;
        filled.saturating_sub(INTERVAL * BURST)
    }

    fn spend(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + INTERVAL;
    }
}

impl BotChannel {
    /// `sites` are hosts besides the vendors' own; `roots`, DER, are trusted instead of the public
    /// authorities if there are any.
    #[must_use]
    pub fn new(
        policy: DestinationPolicy,
        sites: BTreeMap<BotKind, Vec<String>>,
        roots: &[Vec<u8>],
    ) -> Self {
        let agent = outgoing::guarded(policy, roots, POST_LIMIT);
        Self { agent, policy, sites: Arc::new(sites), lines: Arc::default() }
    }

    /// One try, alone or joined with others that wait for the same bot.
    pub async fn send(&self, message: BotMessage) -> Answer {
        let line = self.line(message.url.reveal());
        let (answer, mut answered) = oneshot::channel();
        let longest = longest(message.kind);
        lock(&line.waiting).push_back(Waiting { message, answer });
        loop {
            let mut pace = line.pace.lock().await;
            if let Ok(answer) = answered.try_recv() {
                return answer;
            }
            if lock(&line.waiting).is_empty() {
                // Another is posting it at this moment.
                drop(pace);
                let lost = || Answer::Failed { evidence: "the post broke off".to_owned() };
                return answered.await.unwrap_or_else(|_| lost());
            }
            let wait = pace.wait(Instant::now());
            sleep(wait).await;
            pace.spend(Instant::now());
            let most = if wait.is_zero() { 1 } else { usize::MAX };
            let batch = take(&mut lock(&line.waiting), most, longest);
            drop(pace);
            self.post_all(batch).await;
        }
    }

    fn line(&self, url: &str) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        let now = Instant::now();
        if lines.len() >= LINES {
            // Nobody waits there, and it is as if nobody ever had.
            lines.retain(|_, line| {
                Arc::strong_count(line) > 1
                    || line.pace.try_lock().is_ok_and(|pace| pace.full_at > now)
            });
        }
        let fresh = || Line {
            pace: tokio::sync::Mutex::new(Pace { full_at: now }),
            waiting: Mutex::default(),
        };
        lines.entry(url.to_owned()).or_insert_with(|| Arc::new(fresh())).clone()
    }

    /// Posts what waited as one message; each gets what was answered.
    async fn post_all(&self, batch: Vec<Waiting>) {
        let Some(first) = batch.first() else { return };
        let count = batch.len();
        let texts: Vec<&str> = batch.iter().map(|one| one.message.text.as_str()).collect();
        let message = BotMessage { text: joined(&texts), ..first.message.clone() };
        let bot = self.clone();
        let mut answer = spawn_blocking(move || bot.post(&message))
            .await
            .unwrap_or_else(|error| Answer::Failed { evidence: error.to_string() });
        if count > 1 {
            let (Answer::Accepted { evidence, .. } | Answer::Failed { evidence }) = &mut answer;
            evidence.push_str(&format!(" (one message with {count} notices)"));
        }
        for waiting in batch {
            let _ = waiting.answer.send(answer.clone());
        }
    }

    fn post(&self, message: &BotMessage) -> Answer {
        let kind = message.kind;
        match self.exchange(message) {
            Ok((status, body)) => {
                let evidence = format!("{}: {}", kind.as_str(), outgoing::evidence(status, &body));
                match code(kind, &body) {
                    Some(0) if status.is_success() => {
                        Answer::Accepted { grade: Grade::E2, evidence }
                    }
                    Some(_) => Answer::Failed { evidence },
                    None => Answer::Failed { evidence: format!("{evidence}: no error code") },
                }
            }
            Err(evidence) => Answer::Failed { evidence: format!("{}: {evidence}", kind.as_str()) },
        }
    }

    fn exchange(&self, message: &BotMessage) -> Result<(StatusCode, String), String> {
        let sites = self.sites.get(&message.kind).map_or(&[][..], Vec::as_slice);
        destination::bot(message.kind, message.url.reveal(), self.policy, sites)
            .map_err(|error| error.to_string())?;
        let (url, body) = request(message)?;
        let answer = self
            .agent
            .post(&url)
            .header("content-type", "application/json; charset=utf-8")
            .send(body.to_string().as_bytes())
            .map_err(|error| error.to_string())?;
        Ok(outgoing::said(answer))
    }
}

/// Those in front, one at least, as many as fit into one message. Whoever gives the same URL with
/// another secret has messages of its own: a wrong secret is nobody else's loss.
fn take(waiting: &mut VecDeque<Waiting>, most: usize, longest: usize) -> Vec<Waiting> {
    let mut batch: Vec<Waiting> = waiting.pop_front().into_iter().collect();
    while batch.len() < most {
        let Some(next) = waiting.front() else { break };
        let alike = batch.first().is_some_and(|first| {
            first.message.kind == next.message.kind && first.message.secret == next.message.secret
        });
        let texts = batch.iter().chain([next]).map(|one| one.message.text.as_str());
        if !alike || joined(&texts.collect::<Vec<_>>()).len() > longest {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    batch
}

fn joined(texts: &[&str]) -> String {
    match texts {
        [one] => (*one).to_owned(),
        several => {
            let count = several.len();
            format!("【{count} 条通知 / {count} notices】\n\n{}", several.join(RULE))
        }
    }
}

/// Bytes of text that the vendor takes in one message.
const fn longest(kind: BotKind) -> usize {
    match kind {
        BotKind::Wecom => 2_048,
        BotKind::Dingtalk | BotKind::Feishu => 16_000,
    }
}

/// What is posted, and where to, signed as the vendor has it.
fn request(message: &BotMessage) -> Result<(String, Value), String> {
    let (url, secret) = (message.url.reveal(), message.secret.reveal());
    let text = fitting(&message.text, longest(message.kind));
    match message.kind {
        BotKind::Wecom => {
            Ok((url.to_owned(), json!({"msgtype": "text", "text": {"content": text}})))
        }
        BotKind::Dingtalk => {
            let timestamp = message.at.unix_ms();
            let sign = hmac(secret, &format!("{timestamp}\n{secret}"))?;
            let sign: String = form_urlencoded::byte_serialize(sign.as_bytes()).collect();
            let joint = if url.contains('?') { '&' } else { '?' };
            let url = format!("{url}{joint}timestamp={timestamp}&sign={sign}");
            Ok((url, json!({"msgtype": "text", "text": {"content": text}})))
        }
        BotKind::Feishu => {
            let timestamp = (message.at.unix_ms() / 1000).to_string();
            let sign = hmac(&format!("{timestamp}\n{secret}"), "")?;
            let body = json!({"timestamp": timestamp, "sign": sign, "msg_type": "text",
                "content": {"text": text}});
            Ok((url.to_owned(), body))
        }
    }
}

fn hmac(key: &str, text: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|_| "the secret is no key".to_owned())?;
    mac.update(text.as_bytes());
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

/// The error code in an answer.
fn code(kind: BotKind, body: &str) -> Option<i64> {
    let body: Value = serde_json::from_str(body).ok()?;
    let names: &[&str] = match kind {
        BotKind::Wecom | BotKind::Dingtalk => &["errcode"],
        // The second is of its older interface.
        BotKind::Feishu => &["code", "StatusCode"],
    };
    names.iter().find_map(|name| body.get(name)?.as_i64())
}

fn fitting(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(longest - CUT_OFF.len());
    format!("{}{CUT_OFF}", text.get(..end).unwrap_or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "bot_tests.rs"]
mod tests;
