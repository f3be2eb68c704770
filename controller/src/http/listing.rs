//! Lists in pages, the same way everywhere: `limit` and `after` in the query, and in the answer's
//! head `Link: <…>; rel="next"` as long as more comes (RFC 8288). What stands in `after` is the key
//! of the last item shown, in a form that callers hand back unread.

use std::{fmt::Display, marker::PhantomData, str::FromStr};

use axum::{
    Json,
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{
    IntoParams,
    openapi::{Object, ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::problem::Problem;
use crate::engine::{MAX_PAGE, Page, Slice};

/// Items of a page unless the caller asks for another number.
const PAGE: u32 = 100;

/// Longest cursor that is looked at, bytes.
const MAX_CURSOR_BYTES: usize = 512;

/// Which part of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the shape of two parameters for the document; Listing reads them")]
pub struct Paging {
    /// Most items of the answer.
    #[param(required = false, schema_with = limit_schema)]
    limit: Option<u32>,
    /// Where to go on: the `after` of the last answer's `Link: rel="next"`, unread.
    #[param(required = false, schema_with = cursor_schema)]
    after: Option<String>,
}

/// No filter: the query has nothing but the page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Everything {}

/// A list's filter and page, and what it takes to name the next page. `K` is the type of the
/// list's keys.
#[derive(Debug)]
pub struct Listing<K, F = Everything> {
    /// What is listed.
    pub filter: F,
    /// Which part of it.
    pub page: Page<K>,
    path: String,
    rest: String,
    keys: PhantomData<K>,
}

impl<K: Display, F> Listing<K, F> {
    /// The answer that shows a slice.
    pub fn answer<T, V: Serialize>(&self, slice: Slice<K, T>, view: impl Fn(T) -> V) -> Response {
        let shown: Vec<V> = slice.items.into_iter().map(view).collect();
        let mut response = Json(shown).into_response();
        if let Some(next) = slice.next {
            let link = self.link(&next);
            if let Ok(link) = HeaderValue::try_from(link) {
                response.headers_mut().insert(header::LINK, link);
            }
        }
        response
    }

    fn link(&self, next: &K) -> String {
        let Self { path, rest, page, .. } = self;
        let and = if rest.is_empty() { "" } else { "&" };
        let after = URL_SAFE_NO_PAD.encode(next.to_string());
        format!("<{path}?{rest}{and}limit={}&after={after}>; rel=\"next\"", page.limit)
    }
}

impl<S, K, F> FromRequestParts<S> for Listing<K, F>
where
    S: Send + Sync,
    K: FromStr + Send,
    F: DeserializeOwned,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Routers cut the prefix off the path that the caller knows.
        let original = parts.extensions.get::<OriginalUri>();
        let path = original.map_or(&parts.uri, |OriginalUri(uri)| uri).path().to_owned();
        let query = parts.uri.query().unwrap_or_default();
        let (mut limit, mut after) = (None, None);
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "limit" => &mut limit,
                "after" => &mut after,
                _ => {
                    rest.append_pair(&name, &value);
                    continue;
                }
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(invalid_query(format!("{name} stands twice: give it once")));
            }
        }
        let rest = rest.finish();
        let page = Page { after: cursor(after.as_deref())?, limit: items(limit.as_deref())? };
        let filter = serde_urlencoded::from_str(&rest)
            .map_err(|error| invalid_query(format!("the query is not usable: {error}")))?;
        Ok(Self { filter, page, path, rest, keys: PhantomData })
    }
}

/// The answer to a query that cannot be used.
pub(super) fn invalid_query(detail: impl Into<String>) -> Problem {
    Problem::bad_request("invalid-query", detail)
}

fn items(text: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = text else { return Ok(PAGE) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=MAX_PAGE).contains(number));
    number.ok_or_else(|| invalid_query(format!("limit takes a number from 1 to {MAX_PAGE}")))
}

fn cursor<K: FromStr>(text: Option<&str>) -> Result<Option<K>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let key = Some(text)
        .filter(|text| text.len() <= MAX_CURSOR_BYTES)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|key| key.parse().ok());
    let detail = "after takes what stands in the Link of this list's answer before, and nothing \
                  else: begin again without it";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    key.map(Some).ok_or_else(|| Problem::new(status, "invalid-cursor", detail))
}

fn limit_schema() -> RefOr<Schema> {
    let limit = ObjectBuilder::new().schema_type(Type::Integer);
    let limit = limit.minimum(Some(1)).maximum(Some(MAX_PAGE)).default(Some(PAGE.into()));
    limit.build().into()
}

fn cursor_schema() -> RefOr<Schema> {
    let cursor: Object = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(MAX_CURSOR_BYTES))
        .pattern(Some("^[A-Za-z0-9_-]*$"))
        .build();
    cursor.into()
}
