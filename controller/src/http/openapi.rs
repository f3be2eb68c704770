//! The OpenAPI 3.1 document. `controller/openapi.json` is a copy of it: a test compares the two, so
//! that no change of the API goes unseen.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::{access, acts, form, platform, problem, record, tenants, view};

/// The document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Tenure",
        description = "The life of tenants on a government cloud, from application to attested \
                       erasure. Errors are problem documents (RFC 9457) with a stable `code`. \
                       Changes take `If-Match` with a tenant's ETag."
    ),
    modifiers(&Bearer),
    paths(
        platform::health, platform::hosts, platform::join_token,
        platform::images, platform::anchors, platform::clock, platform::advance,
        platform::checkpoint, platform::tile, document,
        access::sign_in, access::sign_out, access::accounts, access::create_account,
        access::disable_account, access::reset_account, access::tokens, access::create_token,
        access::revoke_token, access::acts,
        tenants::list, tenants::show, tenants::journal, tenants::deadlines, tenants::orders,
        tenants::notices, tenants::evidence, tenants::bundle, tenants::order,
        acts::submit, acts::resubmit, acts::review, acts::retry, acts::deployment, acts::reports,
        acts::review_reports, acts::assessment, acts::icp, acts::cut, acts::restore,
        acts::offboarding, acts::review_offboarding, acts::confirm, acts::approve_wipe,
    ),
    components(schemas(
        problem::Problem, form::ApplicationForm, form::DocumentForm, view::TenantView,
        view::Accepted, record::OrderView, record::NoticeView, record::EvidenceView,
        record::HostView,
    ))
)]
pub struct Document;

/// Every path but the open ones takes a bearer token.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", scheme);
        document.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
}

/// The document as JSON, indented, with a line's end.
#[must_use]
pub fn text() -> String {
    // Maps of strings alone: serialising them cannot fail.
    let json = Document::openapi().to_pretty_json().unwrap_or_default();
    format!("{json}\n")
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "platform",
    responses((status = 200, body = Object)))]
pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}
