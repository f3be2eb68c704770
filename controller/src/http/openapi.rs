//! The OpenAPI 3.1 document. `controller/openapi.json` is a copy of it: a test compares the two, so
//! that no change of the API goes unseen.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::{
    App, access, alarms, anomalies, applications, attachments, calendar, checklist, compliance,
    confirmation, contacts, contract, cutting, deadline, drills, duty, events, form, groups, holds,
    leaving, offboarding, oidc, platform, policy::Policy, problem, receipts, records, row, tenants,
    together, trial, view,
};

/// The document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Tenure",
        description = "The life of tenants on a government cloud, from application to attested \
                       erasure. Errors are problem documents (RFC 9457) with a stable `code`. \
                       Changes take `If-Match` with a tenant's ETag, and an `Idempotency-Key` \
                       under which they are made once. Lists come in pages: `limit`, `after`, and \
                       in the answer `Link: <…>; rel=\"next\"` while there is more. Reads take \
                       `If-None-Match`. What hosts carry out later is answered with 202 and the \
                       ids of its orders; `/v1/events` streams what happens."
    ),
    modifiers(&Bearer),
    paths(
        platform::health, platform::hosts, platform::join_token, platform::block,
        platform::unblock, platform::journal, alarms::list, alarms::end,
        platform::images, platform::application_form,
        receipts::take, platform::anchors, platform::clock, platform::advance,
        platform::checkpoint, platform::tile, document,
        access::sign_in, access::sign_out, access::accounts, access::create_account,
        access::disable_account, confirmation::confirm_account, confirmation::confirm_token,
        access::reset_account, access::tokens, access::create_token,
        access::revoke_token, oidc::begin, oidc::finish, oidc::link, oidc::unlink,
        attachments::upload, attachments::list, attachments::read, attachments::upload_platform,
        attachments::list_platform, attachments::read_platform,
        records::add, records::list, records::confirm, records::add_platform,
        records::list_platform, records::confirm_platform,
        calendar::show, calendar::days, calendar::propose, calendar::enact, calendar::reject,
        deadline::preview, deadline::platform,
        deadline::sign,
        checklist::checklist, tenants::list, events::events, tenants::show, tenants::journal,
        deadline::deadlines,
        tenants::orders, tenants::notices, tenants::evidence, tenants::bundle, tenants::order,
        applications::submit, applications::resubmit, applications::review, applications::retry,
        trial::deployment, trial::reports, trial::review_reports, cutting::cut,
        cutting::acknowledge_cut, cutting::record_acknowledgement, duty::duty,
        cutting::announce_cut, cutting::call_off_cut, cutting::restore, together::cut,
        together::restore, offboarding::offboarding,
        offboarding::review_offboarding, offboarding::confirm, offboarding::approve_wipe,
        applications::draft, applications::save_draft, applications::submit_draft,
        applications::withdraw, applications::suspend, applications::resume,
        trial::extension, trial::decide, trial::rectify, compliance::open_icp, holds::place,
        holds::release, holds::countersign, leaving::waive, leaving::record_service,
        leaving::countersign_service, compliance::assessment, compliance::icp,
        compliance::confirm_icp, groups::list, groups::set, groups::remove,
        contacts::set, contacts::acknowledge,
        anomalies::show, anomalies::set, anomalies::propose, anomalies::confirm,
        anomalies::withdraw, drills::propose, drills::confirm, drills::withdraw, drills::drill,
        drills::show,
    ),
    components(schemas(
        problem::Problem, form::ApplicationForm, form::ContactForm, form::InstanceForm,
        form::IngressForm, form::DocumentForm, form::ExpertForm, groups::RuleForm,
        view::TenantView,
        view::Accepted, row::OrderView, row::NoticeView, row::EvidenceView,
        row::HostView,
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

/// The document as JSON, indented, with a line's end; `policy` says who may call what.
#[must_use]
pub fn text(policy: &Policy) -> String {
    // Maps of strings alone: serialising them cannot fail.
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    contract::complete(&mut document, policy);
    // In the order of names, whatever order this build keeps.
    document.sort_all_objects();
    format!("{document:#}\n")
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "platform",
    responses((status = 200, body = Object)))]
pub async fn document(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text(&app.policy)).into_response()
}
