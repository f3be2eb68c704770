//! `If-None-Match` on reads: whoever has the answer already gets 304 without it (RFC 9110). An
//! answer that has no ETag of its own gets one of its bytes.

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use tenure_protocol::digest::Digest;

use super::{
    change::{MAX_TAGS, entity_tags},
    problem::Problem,
};

/// Largest answer that gets an ETag of its bytes; larger ones are not held for it.
const MAX_TAGGED_BYTES: usize = 8 * 1024 * 1024;

/// Answers 304 to those who have the answer.
///
/// # Errors
/// 400 for an `If-None-Match` that is not well formed.
pub async fn answer(request: Request, next: Next) -> Result<Response, Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = known(request.headers());
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let known = known?;
    let response = tagged(response).await;
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if !tag.is_some_and(|tag| known.has(tag)) {
        return Ok(response);
    }
    let (mut head, _) = response.into_parts();
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::empty()))
}

/// The answers that a caller has, by their tags' opaque parts.
enum Known {
    Any,
    These(Vec<String>),
}

impl Known {
    /// Whether this one is among them, by the weak comparison.
    fn has(&self, tag: &str) -> bool {
        let opaque = tag.trim_start_matches("W/").trim_matches('"');
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| tag == opaque),
        }
    }
}

fn known(headers: &HeaderMap) -> Result<Known, Problem> {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let text: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
    let parts = text.unwrap_or_else(|| vec!["not text"]);
    if parts.is_empty() {
        return Ok(Known::These(Vec::new()));
    }
    let text = parts.join(",");
    if text.trim() == "*" {
        return Ok(Known::Any);
    }
    let tags = entity_tags(&text).filter(|tags| tags.len() <= MAX_TAGS);
    let tags = tags.map(|tags| tags.iter().map(|tag| tag.opaque.to_owned()).collect());
    let detail = "If-None-Match takes ETags of answers that you have, such as \"3\", or *";
    tags.map(Known::These).ok_or_else(|| Problem::bad_request("invalid-if-none-match", detail))
}

/// The answer with an ETag, if it is JSON of a known, moderate size.
async fn tagged(response: Response) -> Response {
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let size = response.body().size_hint().exact().filter(|size| *size > 0);
    let moderate = size.is_some_and(|size| size <= MAX_TAGGED_BYTES as u64);
    if response.headers().contains_key(header::ETAG) || !json || !moderate {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // The bytes are there already: a body of known size is in memory.
    let bytes = axum::body::to_bytes(body, MAX_TAGGED_BYTES).await.unwrap_or_default();
    let tag = format!("\"{}\"", &Digest::of(&bytes).to_string()[..32]);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        head.headers.insert(header::ETAG, tag);
    }
    Response::from_parts(head, bytes.into())
}
