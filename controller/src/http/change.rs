//! What every change comes with: who asks, on which version of the tenant (`If-Match`, RFC 9110),
//! under which key (`Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header), and the body.
//!
//! A key belongs to its caller and to one request, byte for byte. While the first of two requests
//! with one key is under way, the second is refused with 409; later it gets the first one's answer.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts as _, OriginalUri, Request},
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use serde::de::DeserializeOwned;
use tenure_protocol::digest::Digest;

use super::{
    extract::{Body, Caller, body_bytes, require_json},
    gate::read_out,
    problem::Problem,
    whole,
};
use crate::{
    core::lifecycle::Actor,
    engine::{Call, ChangeKey, EngineError, Expected},
};

/// The key's header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key, characters.
pub const MAX_KEY_CHARS: usize = 255;
/// Most tags in one `If-Match` or `If-None-Match`.
pub(super) const MAX_TAGS: usize = 16;

/// A change that is asked for.
#[derive(Debug)]
pub struct Change<T> {
    /// By whom, on which version, under which key.
    pub call: Call,
    /// The body.
    pub body: T,
    turn: Option<Turn>,
}

/// The changes under way that have keys: who asks, and the key.
#[derive(Debug, Clone, Default)]
pub struct UnderWay(Arc<Mutex<HashSet<(Digest, String)>>>);

/// A key that is under way, until this is dropped.
#[derive(Debug)]
struct Turn {
    all: UnderWay,
    key: (Digest, String),
}

impl<T> Change<T> {
    /// Whoever gives an opinion must say which version it is about: 428 without `If-Match`.
    ///
    /// # Errors
    /// The answer.
    pub fn on_a_version(self) -> Result<Self, Problem> {
        if self.call.expected == Expected::Unsaid {
            let detail = "say which version this is about: If-Match with the ETag of the tenant \
                          that you looked at, such as \"3\", or * for whichever it is";
            let status = StatusCode::PRECONDITION_REQUIRED;
            return Err(Problem::new(status, "version-required", detail));
        }
        Ok(self)
    }

    /// Makes the change, to its end, even if the caller hangs up meanwhile.
    ///
    /// # Errors
    /// What the engine says, as the answer.
    pub async fn make<R, W>(self, work: impl FnOnce(Call, T) -> W) -> Result<R, Problem>
    where
        R: Send + 'static,
        W: Future<Output = Result<R, EngineError>> + Send + 'static,
    {
        let Self { call, body, turn } = self;
        let work = work(call, body);
        whole(async move {
            let done = work.await;
            drop(turn);
            done
        })
        .await
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Change<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if let Err(problem) = require_json(request.headers()) {
            read_out(request).await;
            return Err(problem);
        }
        let (mut parts, body) = request.into_parts();
        let Caller(actor) = Caller::from_request_parts(&mut parts, state).await?;
        let expected = expected(&parts.headers)?;
        let name = key(&parts.headers)?;
        let path = match parts.extensions.get::<OriginalUri>() {
            Some(OriginalUri(uri)) => uri.to_string(),
            None => parts.uri.to_string(),
        };
        let all = parts.extensions.get::<UnderWay>().cloned().unwrap_or_default();
        let bytes = body_bytes(body).await?;
        let Body(body) = Body::read(&bytes)?;
        let Some(name) = name else {
            return Ok(Self { call: Call { actor, expected, key: None }, body, turn: None });
        };
        let key =
            ChangeKey { identity: identity(&actor), name, request: request_of(&path, &bytes) };
        let turn = all.begin(&key)?;
        Ok(Self { call: Call { actor, expected, key: Some(key) }, body, turn: Some(turn) })
    }
}

impl UnderWay {
    fn begin(&self, key: &ChangeKey) -> Result<Turn, Problem> {
        let key = (key.identity, key.name.clone());
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
            return Ok(Turn { all: self.clone(), key });
        }
        let detail = "a request with this Idempotency-Key is under way: ask again for its answer";
        Err(Problem::new(StatusCode::CONFLICT, "under-way", detail))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Whose keys these are.
fn identity(actor: &Actor) -> Digest {
    let customer = actor.customer.as_deref().unwrap_or_default();
    let text = format!("{}\0{}\0{customer}", actor.role.as_str(), actor.name);
    Digest::of(text.as_bytes())
}

fn request_of(path: &str, body: &Bytes) -> Digest {
    let head = format!("POST {path}\0");
    Digest::of(&[head.as_bytes(), body].concat())
}

/// The key, as plain text or as the quoted string that the draft asks for.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let sound = (1..=MAX_KEY_CHARS).contains(&bare.len())
        && bare.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if sound && values.next().is_none() {
        return Ok(Some(bare.to_owned()));
    }
    let detail = format!(
        "Idempotency-Key takes one key of 1 to {MAX_KEY_CHARS} printable characters without \
         blanks, quotes and backslashes, such as a UUID"
    );
    Err(Problem::bad_request("invalid-idempotency-key", detail))
}

/// What `If-Match` says. Weak tags match nothing here (RFC 9110, 13.1.1), nor do tags that are no
/// version; and an empty list, which is one, names none.
fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(Expected::Unsaid);
    }
    let text: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
    let text = text.map(|texts| texts.join(","));
    if text.as_deref().map(str::trim) == Some("*") {
        return Ok(Expected::Any);
    }
    let tags = text.as_deref().and_then(entity_tags).filter(|tags| tags.len() <= MAX_TAGS);
    let Some(tags) = tags else {
        let detail = "If-Match takes ETags of this tenant, such as \"3\", or *";
        return Err(Problem::bad_request("invalid-if-match", detail));
    };
    let strong = tags.iter().filter(|tag| !tag.weak);
    Ok(Expected::OneOf(strong.filter_map(|tag| tag.opaque.parse().ok()).collect()))
}

/// An entity tag (RFC 9110, 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntityTag<'a> {
    /// Whether it stands for an equivalent answer only.
    pub(super) weak: bool,
    /// What stands between the quotes.
    pub(super) opaque: &'a str,
}

/// A list of entity tags; nothing if it is not well formed.
pub(super) fn entity_tags(text: &str) -> Option<Vec<EntityTag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let weak = rest.starts_with("W/");
        rest = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (opaque, after) = rest.split_once('"')?;
        if opaque.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return None;
        }
        tags.push(EntityTag { weak, opaque });
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start_matches([' ', '\t', ',']);
        }
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn said(values: &[&str]) -> Result<Expected, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, value.parse().expect("a header"));
        }
        expected(&headers)
    }

    #[test]
    fn versions_are_expected_one_or_several_strong_and_never_weak() {
        assert_eq!(said(&[]), Ok(Expected::Unsaid));
        assert_eq!(said(&["*"]), Ok(Expected::Any));
        assert_eq!(said(&["\"3\""]), Ok(Expected::OneOf(vec![3])));
        assert_eq!(said(&["\"3\", \"4\"", "\"x,y\""]), Ok(Expected::OneOf(vec![3, 4])));
        assert_eq!(said(&["W/\"3\""]), Ok(Expected::OneOf(vec![])), "weak tags match nothing");
        assert_eq!(said(&[""]), Ok(Expected::OneOf(vec![])), "an empty list names none");
        for wrong in ["3", "\"3", "\"3\" \"4\"", "w/\"3\"", "*, \"3\"", "\"a b\""] {
            let problem = said(&[wrong]).expect_err(wrong);
            assert_eq!((problem.status, &*problem.code), (400, "invalid-if-match"), "{wrong}");
        }
        assert!(said(&[&"\"1\",".repeat(MAX_TAGS + 1)]).is_err(), "no list without end");
        let mut headers = HeaderMap::new();
        let unreadable = HeaderValue::from_bytes(b"\xc2\x84").expect("a header");
        headers.append(header::IF_MATCH, unreadable);
        assert!(expected(&headers).is_err(), "what cannot be read is no empty list");
    }

    #[test]
    fn a_key_is_taken_bare_and_quoted_and_only_once() {
        let said = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, value.parse().expect("a header"));
            }
            key(&headers)
        };
        assert_eq!(said(&[]), Ok(None));
        assert_eq!(said(&["k-1"]), Ok(Some("k-1".to_owned())));
        assert_eq!(said(&["\"k-1\""]), Ok(Some("k-1".to_owned())));
        for wrong in [&["a", "b"][..], &["a", "a"], &[""], &["\"\""], &["a b"], &["a\"b"]] {
            assert!(said(wrong).is_err(), "{wrong:?}");
        }
        assert!(said(&[&"k".repeat(MAX_KEY_CHARS)]).is_ok());
        assert!(said(&[&"k".repeat(MAX_KEY_CHARS + 1)]).is_err());
    }

    #[test]
    fn two_requests_with_one_key_are_not_under_way_at_once() {
        let all = UnderWay::default();
        let key = |who: &str, name: &str| ChangeKey {
            identity: Digest::of(who.as_bytes()),
            name: name.to_owned(),
            request: Digest::of(b""),
        };
        let first = all.begin(&key("li", "1")).expect("free");
        assert_eq!(all.begin(&key("li", "1")).expect_err("taken").status, 409);
        assert!(all.begin(&key("li", "2")).is_ok() && all.begin(&key("wu", "1")).is_ok());
        drop(first);
        assert!(all.begin(&key("li", "1")).is_ok());
    }
}
