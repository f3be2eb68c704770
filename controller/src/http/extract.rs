//! What handlers take out of requests. Whatever is wrong becomes a problem document that says
//! where.

use std::{collections::HashMap, str::FromStr, time::Duration};

use axum::{
    body::BodyDataStream,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::Problem;
use crate::core::{access::Principal, lifecycle::Actor};

/// Bytes that a request's body may have.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Bytes of a refused body that are read and thrown away.
const THROWN_AWAY_BYTES: usize = 1024 * 1024;
/// How long that may take.
const THROWN_AWAY_LIMIT: Duration = Duration::from_secs(5);

/// Who calls: put in by the gate, so that a route outside of it has nobody.
#[derive(Debug, Clone)]
pub struct Caller(pub Actor);

/// Who calls, with what it came in with.
#[derive(Debug, Clone)]
pub struct Entrant(pub Principal);

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// The path's `id`, whatever else stands in the path.
#[derive(Debug)]
pub struct Id<T>(pub T);

/// The query's parameters.
#[derive(Debug)]
pub struct Parameters<T>(pub T);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>();
        principal.map(|principal| Self(principal.actor.clone())).ok_or_else(unauthenticated)
    }
}

impl<S: Sync> FromRequestParts<S> for Entrant {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Principal>().cloned().map(Self).ok_or_else(unauthenticated)
    }
}

/// The answer to a request without a valid token.
#[must_use]
pub fn unauthenticated() -> Problem {
    let detail = "give a valid token, or come in anew: Authorization: Bearer …";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        Self::read(&body_bytes(request.into_body()).await?)
    }
}

impl<T: DeserializeOwned> Body<T> {
    /// Reads a body; what is wrong is named by its place in it.
    ///
    /// # Errors
    /// The answer.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let read = serde_path_to_error::deserialize(&mut json);
        let value = read.map_err(|error| {
            let pointer = pointer(error.path());
            unusable(error.inner(), Some(pointer))
        })?;
        json.end().map_err(|error| unusable(&error, None))?;
        Ok(Self(value))
    }
}

fn unusable(error: &serde_json::Error, pointer: Option<String>) -> Problem {
    let problem = |code| Problem::bad_request(code, format!("the body is not usable: {error}"));
    match (error.classify(), pointer) {
        (Category::Data, Some(pointer)) => problem("invalid-body").with(pointer, error.to_string()),
        (Category::Data, None) => problem("invalid-body"),
        (Category::Io | Category::Syntax | Category::Eof, _) => problem("malformed-json"),
    }
}

/// A place in a JSON document (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                text.push('/');
                text.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

/// The whole body, up to its limit. What is over it is thrown away.
pub(super) async fn body_bytes(body: axum::body::Body) -> Result<Bytes, Problem> {
    let mut body = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::bad_request("broken-body", "the body broke off: send it again")
        })?;
        if bytes.len().saturating_add(chunk.len()) > MAX_BODY_BYTES {
            throw_away(body).await;
            let detail = format!("the body is over {MAX_BODY_BYTES} bytes: send less");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads a body that nobody wants, up to limits of size and time: a connection that is closed over
/// unread bytes loses the answer on its way.
pub(super) async fn throw_away(mut body: BodyDataStream) {
    let all = async {
        let mut left = THROWN_AWAY_BYTES;
        while let Some(Ok(chunk)) = body.next().await {
            let Some(rest) = left.checked_sub(chunk.len()) else { break };
            left = rest;
        }
    };
    // Whether it can be read does not matter any more.
    let _ = tokio::time::timeout(THROWN_AWAY_LIMIT, all).await;
}

/// The body must be said to be JSON.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    if is_json(headers) {
        return Ok(());
    }
    let detail = "send JSON, with content-type: application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

impl<S: Send + Sync, T> FromRequestParts<S> for Id<T>
where
    T: FromStr<Err: std::fmt::Display>,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unreadable = || Problem::bad_request("invalid-id", "the path has no readable id");
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let text =
            path.ok().and_then(|Path(mut parts)| parts.remove("id")).ok_or_else(unreadable)?;
        let wrong = |error: T::Err| Problem::bad_request("invalid-id", error.to_string());
        text.parse().map(Self).map_err(wrong)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let wrong = |error: axum::extract::rejection::QueryRejection| {
            Problem::bad_request("invalid-query", error.body_text())
        };
        Query::from_request_parts(parts, state).await.map(|Query(query)| Self(query)).map_err(wrong)
    }
}
