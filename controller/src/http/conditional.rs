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

use super::change::entity_tags;

/// Largest answer that gets an ETag of its bytes; larger ones are not held for it.
const MAX_TAGGED_BYTES: usize = 8 * 1024 * 1024;

/// Answers 304 to those who have the answer.
pub async fn answer(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let known: Vec<HeaderValue> = known.cloned().collect();
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK {
        return response;
    }
    let response = tagged(response).await;
    match response.headers().get(header::ETAG) {
        Some(tag) if known.iter().any(|known| is_among(tag, known)) => {
            let (mut head, _) = response.into_parts();
            head.status = StatusCode::NOT_MODIFIED;
            drop_content(&mut head.headers);
            Response::from_parts(head, Body::empty())
        }
        Some(_) | None => response,
    }
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

/// Whether the tag is among those that the caller names, by the weak comparison.
fn is_among(tag: &HeaderValue, known: &HeaderValue) -> bool {
    let (Ok(tag), Ok(known)) = (tag.to_str(), known.to_str()) else { return false };
    let opaque = tag.trim_start_matches("W/").trim_matches('"');
    known.trim() == "*"
        || entity_tags(known).is_some_and(|tags| tags.iter().any(|tag| tag.opaque == opaque))
}

fn drop_content(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_LENGTH);
}
