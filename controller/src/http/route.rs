//! Which route is which action of the policy, and what it is done to: one table. A route that is
//! not in it cannot be called.

use axum::http::Method;

use super::problem::Problem;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method; GET covers HEAD.
    pub verb: Verb,
    /// The path, as the router has it.
    pub path: &'static str,
    /// The action of `data/policy.cedar`.
    pub action: &'static str,
    /// What the action is done to.
    pub subject: Subject,
}

/// The methods of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Changes.
    Post,
    /// Ends.
    Delete,
}

impl Verb {
    /// As in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The platform.
    Platform,
    /// The tenant whose id is in the path.
    Tenant,
    /// The tenant of the order whose id is in the path.
    Order,
    /// The platform; but if the path is not one of hashes the action is [`READ_ENTRIES`].
    Tile,
}

/// The action of the ledger's tiles of entries.
pub const READ_ENTRIES: &str = "read-entries";
/// The action of a gateway that says what became of a short message.
pub const TAKE_RECEIPT: &str = "take-receipt";
/// The actions that no limit of rates holds up.
///
/// Clause 6.3 asks for the cut at once. So whoever may cut is never told to come later; who may not
/// is limited as everybody, after the policy has said so.
const UNLIMITED: [&str; 3] = ["cut", "cut-several", "drill"];

impl Route {
    /// Whether no limit of rates holds it up: it is a cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        UNLIMITED.contains(&self.action)
    }
}

const fn get(path: &'static str, action: &'static str, subject: Subject) -> Route {
    Route { verb: Verb::Get, path, action, subject }
}

const fn post(path: &'static str, action: &'static str, subject: Subject) -> Route {
    Route { verb: Verb::Post, path, action, subject }
}

const fn delete(path: &'static str, action: &'static str, subject: Subject) -> Route {
    Route { verb: Verb::Delete, path, action, subject }
}

use Subject::{Order, Platform, Tenant, Tile};

/// The table.
pub const TABLE: &[Route] = &[
    get("/healthz", "health", Platform),
    get("/openapi.json", "document", Platform),
    post("/v1/sessions", "sign-in", Platform),
    delete("/v1/sessions/current", "sign-out", Platform),
    get("/v1/accounts", "list-accounts", Platform),
    post("/v1/accounts", "create-account", Platform),
    post("/v1/accounts/{name}/confirm", "confirm-account", Platform),
    post("/v1/accounts/{name}/disable", "disable-account", Platform),
    post("/v1/accounts/{name}/reset", "reset-account", Platform),
    post("/v1/accounts/{name}/identities", "link-identity", Platform),
    delete("/v1/accounts/{name}/identities/{provider}", "unlink-identity", Platform),
    post("/v1/oidc/attempts", "begin-oidc", Platform),
    post("/v1/oidc/sessions", "finish-oidc", Platform),
    get("/v1/tokens", "list-tokens", Platform),
    post("/v1/tokens", "create-token", Platform),
    post("/v1/tokens/{id}/confirm", "confirm-token", Platform),
    delete("/v1/tokens/{id}", "revoke-token", Platform),
    post("/v1/applications", "submit", Platform),
    post("/v1/drafts", "start-draft", Platform),
    get("/v1/application-forms/{version}", "show-form", Platform),
    get("/v1/tenants", "list-tenants", Platform),
    get("/v1/events", "list-events", Platform),
    get("/v1/tenants/{id}", "show-tenant", Tenant),
    get("/v1/tenants/{id}/checklist", "show-checklist", Tenant),
    get("/v1/tenants/{id}/groups", "show-groups", Tenant),
    get("/v1/tenants/{id}/anomalies", "show-anomalies", Tenant),
    get("/v1/tenants/{id}/drills", "show-drills", Tenant),
    get("/v1/tenants/{id}/journal", "show-journal", Tenant),
    get("/v1/tenants/{id}/deadlines", "show-deadlines", Tenant),
    get("/v1/tenants/{id}/orders", "show-orders", Tenant),
    get("/v1/tenants/{id}/notices", "show-notices", Tenant),
    get("/v1/tenants/{id}/evidence", "show-evidence", Tenant),
    get("/v1/tenants/{id}/bundle", "fetch-bundle", Tenant),
    get("/v1/tenants/{id}/attachments", "list-attachments", Tenant),
    post("/v1/tenants/{id}/attachments", "attach", Tenant),
    get("/v1/tenants/{id}/attachments/{digest}", "fetch-attachment", Tenant),
    get("/v1/tenants/{id}/records", "list-records", Tenant),
    post("/v1/tenants/{id}/records", "add-record", Tenant),
    post("/v1/tenants/{id}/records/{record}/confirmations", "confirm-record", Tenant),
    post("/v1/tenants/{id}/deadlines/sign", "sign-deadlines", Tenant),
    post("/v1/tenants/{id}/draft", "save-draft", Tenant),
    post("/v1/tenants/{id}/draft/submission", "submit-draft", Tenant),
    post("/v1/tenants/{id}/application", "resubmit", Tenant),
    post("/v1/tenants/{id}/withdrawal", "withdraw", Tenant),
    post("/v1/tenants/{id}/review", "review-application", Tenant),
    post("/v1/tenants/{id}/review/suspension", "suspend-review", Tenant),
    post("/v1/tenants/{id}/review/resumption", "resume-review", Tenant),
    post("/v1/tenants/{id}/configuration/retry", "retry-configuration", Tenant),
    post("/v1/tenants/{id}/deployment", "declare-deployment", Tenant),
    post("/v1/tenants/{id}/trial/extension", "request-extension", Tenant),
    post("/v1/tenants/{id}/trial/extension/decision", "decide-extension", Tenant),
    post("/v1/tenants/{id}/reports", "submit-reports", Tenant),
    post("/v1/tenants/{id}/reports/review", "review-reports", Tenant),
    post("/v1/tenants/{id}/reports/rectifications", "rectify", Tenant),
    post("/v1/tenants/{id}/assessment", "file-assessment", Tenant),
    post("/v1/tenants/{id}/icp", "file-icp", Tenant),
    post("/v1/tenants/{id}/icp/confirmation", "confirm-icp", Tenant),
    post("/v1/tenants/{id}/icp/opening", "open-icp", Tenant),
    post("/v1/tenants/{id}/groups", "set-group", Tenant),
    post("/v1/tenants/{id}/groups/removal", "remove-group", Tenant),
    post("/v1/tenants/{id}/contacts", "set-contacts", Tenant),
    post("/v1/tenants/{id}/contacts/acknowledgement", "acknowledge-probe", Tenant),
    post("/v1/tenants/{id}/anomalies/thresholds", "set-thresholds", Tenant),
    post("/v1/tenants/{id}/anomalies/rule", "propose-cut-rule", Tenant),
    post("/v1/tenants/{id}/anomalies/rule/confirmation", "confirm-cut-rule", Tenant),
    post("/v1/tenants/{id}/anomalies/rule/withdrawal", "withdraw-cut-rule", Tenant),
    post("/v1/tenants/{id}/canary", "propose-canary", Tenant),
    post("/v1/tenants/{id}/canary/confirmation", "confirm-canary", Tenant),
    post("/v1/tenants/{id}/canary/withdrawal", "withdraw-canary", Tenant),
    post("/v1/tenants/{id}/drill", "drill", Tenant),
    post("/v1/tenants/{id}/cut/acknowledgement", "acknowledge-cut", Tenant),
    post("/v1/tenants/{id}/cut/acknowledgement/heard", "record-acknowledgement", Tenant),
    post("/v1/tenants/{id}/cut/announcement", "announce-cut", Tenant),
    post("/v1/tenants/{id}/cut/announcement/end", "call-off-cut", Tenant),
    post("/v1/tenants/{id}/cut", "cut", Tenant),
    post("/v1/tenants/{id}/restore", "restore", Tenant),
    post("/v1/tenants/{id}/offboarding", "request-offboarding", Tenant),
    post("/v1/tenants/{id}/offboarding/review", "review-offboarding", Tenant),
    post("/v1/tenants/{id}/offboarding/waivers", "waive-period", Tenant),
    post("/v1/tenants/{id}/offboarding/service", "record-service", Tenant),
    post("/v1/tenants/{id}/offboarding/countersignatures", "countersign-service", Tenant),
    post("/v1/tenants/{id}/offboarding/confirm", "confirm-offboarding", Tenant),
    post("/v1/tenants/{id}/holds", "place-hold", Tenant),
    post("/v1/tenants/{id}/holds/release", "release-hold", Tenant),
    post("/v1/tenants/{id}/holds/countersignatures", "countersign-hold", Tenant),
    post("/v1/tenants/{id}/wipe/approvals", "approve-wipe", Tenant),
    get("/v1/orders/{id}", "show-order", Order),
    post("/v1/cuts", "cut-several", Platform),
    post("/v1/restores", "restore-several", Platform),
    get("/v1/duty", "show-duty", Platform),
    get("/v1/hosts", "list-hosts", Platform),
    post("/v1/hosts/tokens", "create-join-token", Platform),
    get("/v1/hosts/{id}/alarms", "list-host-alarms", Platform),
    post("/v1/hosts/{id}/alarms/{sequence}/end", "end-alarm", Platform),
    post("/v1/hosts/{id}/block", "block-host", Platform),
    post("/v1/hosts/{id}/unblock", "unblock-host", Platform),
    get("/v1/platform/journal", "show-platform-journal", Platform),
    get("/v1/platform/attachments", "list-platform-attachments", Platform),
    post("/v1/platform/attachments", "attach-to-platform", Platform),
    get("/v1/platform/attachments/{digest}", "fetch-platform-attachment", Platform),
    get("/v1/platform/deadlines", "list-platform-deadlines", Platform),
    get("/v1/platform/records", "list-platform-records", Platform),
    post("/v1/platform/records", "add-platform-record", Platform),
    post("/v1/platform/records/{record}/confirmations", "confirm-platform-record", Platform),
    get("/v1/calendar", "show-calendar", Platform),
    get("/v1/calendar/days", "list-calendar-days", Platform),
    post("/v1/calendar/notices", "propose-calendar", Platform),
    post("/v1/calendar/notices/{id}/enact", "enact-calendar", Platform),
    post("/v1/calendar/notices/{id}/reject", "reject-calendar", Platform),
    get("/v1/deadlines/preview", "preview-deadline", Platform),
    get("/v1/images", "list-images", Platform),
    get("/v1/anchors", "show-anchors", Platform),
    get("/v1/receipts/{token}", TAKE_RECEIPT, Platform),
    get("/v1/clock", "show-clock", Platform),
    post("/v1/demo/clock", "advance-clock", Platform),
    get("/v1/ledger/checkpoint", "show-checkpoint", Platform),
    get("/v1/ledger/tile/{*path}", "read-hashes", Tile),
];

/// The row of a request.
///
/// # Errors
/// 405 if there is none.
pub fn find(method: &Method, path: &str) -> Result<&'static Route, Problem> {
    let wanted = match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    };
    TABLE
        .iter()
        .find(|route| route.path == path && Some(route.verb) == wanted)
        .ok_or_else(Problem::method_not_allowed)
}

/// Whether a tile is one of hashes, by its path after percent-decoding: only what begins with a
/// level's number, so that no other spelling leads to the entries.
#[must_use]
pub fn is_of_hashes(tile: &str) -> bool {
    tile.split('/')
        .next()
        .is_some_and(|level| !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()))
}
