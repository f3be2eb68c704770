//! Errors of the API: problem documents (RFC 9457), each with a stable `code` and a `detail` that
//! says what to do.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    core::{
        access::SignInRefusal,
        refusal::{self, Code},
    },
    engine::{EngineError, FilesError},
    secrets::BUSY_FOR_S,
};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the status and the code say it all.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Stable code, kebab-case.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
    /// When to come again, s: the header Retry-After.
    #[serde(skip)]
    pub retry_after_s: Option<u32>,
    /// Each thing that is wrong with the body, by its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<Fault>,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem of this status.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            retry_after_s: None,
            errors: Vec::new(),
        }
    }

    /// The problem with one more thing that is wrong with the body.
    #[must_use]
    pub fn with(mut self, pointer: String, message: String) -> Self {
        self.errors.push(Fault { pointer, message });
        self
    }

    /// No such thing, or none that the caller may know of.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        let detail = format!("there is no {what} of this id that you may see: check the id");
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// No such method on this path.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let detail = "this path has no such method: see /openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
    }

    /// The request itself is wrong.
    #[must_use]
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"tenure\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::NotFound(what) => Self::not_found(what),
            EngineError::Conflict => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            EngineError::Version(_) => {
                let status = StatusCode::PRECONDITION_FAILED;
                Self::new(status, "version-mismatch", error.to_string())
            }
            EngineError::KeyTaken => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key-taken", error.to_string())
            }
            EngineError::SecretGone => {
                Self::new(StatusCode::CONFLICT, "secret-not-kept", error.to_string())
            }
            EngineError::Blocked => {
                Self::new(StatusCode::CONFLICT, "host-blocked", error.to_string())
            }
            EngineError::Invalid(detail) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", detail)
            }
            EngineError::SignIn(refusal) => refusal.into(),
            EngineError::Files(FilesError::Broken) => {
                Self::bad_request("broken-body", error.to_string())
            }
            EngineError::Files(FilesError::TooLarge) => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                Self::new(status, Code::AttachmentTooLarge.as_str(), error.to_string())
            }
            EngineError::Files(FilesError::TooSlow) => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", error.to_string())
            }
            EngineError::Files(FilesError::NoSpace) => {
                tracing::error!("the disk of attachments is nearly full: nothing is taken in");
                let status = StatusCode::INSUFFICIENT_STORAGE;
                Self::new(status, "storage-low", error.to_string())
            }
            EngineError::Files(FilesError::Damaged { .. }) => {
                tracing::error!(%error, "an attachment is damaged");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let detail = format!("{error}, or upload the same file again");
                Self::new(status, "attachment-damaged", detail)
            }
            EngineError::Store(_)
            | EngineError::Ledger(_)
            | EngineError::Chance(_)
            | EngineError::Files(_)
            | EngineError::Letters(_)
            | EngineError::Secrets(_) => {
                let source = &error as &dyn std::error::Error;
                tracing::error!(error = source, "a request failed");
                let detail = "the controller could not make this durable; nothing is known to be \
                              done: try again, and tell the operators";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-durable", detail)
            }
        }
    }
}

impl From<SignInRefusal> for Problem {
    fn from(refusal: SignInRefusal) -> Self {
        let (status, retry_after_s) = match refusal {
            SignInRefusal::Wrong => (StatusCode::UNAUTHORIZED, None),
            SignInRefusal::NewPassword | SignInRefusal::PasswordOld | SignInRefusal::Unlinked => {
                (StatusCode::FORBIDDEN, None)
            }
            SignInRefusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(BUSY_FOR_S)),
        };
        Self { retry_after_s, ..Self::new(status, refusal.as_str(), refusal.to_string()) }
    }
}

impl From<refusal::Refusal> for Problem {
    fn from(refusal: refusal::Refusal) -> Self {
        let status = match refusal.code {
            Code::WrongRole | Code::SeparationOfDuties => StatusCode::FORBIDDEN,
            // A customer is not told that another's tenant exists.
            Code::NotYourTenant => return Self::not_found("tenant"),
            Code::InvalidApplication
            | Code::InvalidInput
            | Code::UnknownImage
            | Code::StopDayTooEarly
            | Code::InvalidNotice
            | Code::ExtensionTooLong
            | Code::ExpertsMissing
            | Code::ItemsMissing
            | Code::UnknownItem
            | Code::UnknownHold
            | Code::UnknownCut
            | Code::UnknownAttachment
            | Code::DocumentMissing
            | Code::SameDocument
            | Code::LevelTooLow
            | Code::TooManyRules
            | Code::InvalidGroup
            | Code::OverlappingRules
            | Code::ReservedPrefix
            | Code::Ipv6NotCarried
            | Code::UnknownRole
            | Code::UnknownGroup
            | Code::UnknownTenant
            | Code::UnknownRecord => StatusCode::UNPROCESSABLE_ENTITY,
            Code::AttachmentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::AttachmentsFull => StatusCode::INSUFFICIENT_STORAGE,
            Code::Invariant => StatusCode::INTERNAL_SERVER_ERROR,
            Code::WrongPhase
            | Code::WrongIsolation
            | Code::NoCapacity
            | Code::NoNetwork
            | Code::NotMigrated
            | Code::AlreadyDecided
            | Code::AlreadyAcknowledged
            | Code::TooSoon
            | Code::AccessNotApproved
            | Code::UnknownOrder
            | Code::ReportMismatch
            | Code::UnknownNotice
            | Code::DeadlineMoved
            | Code::NothingToSign
            | Code::NoticeInForce
            | Code::WrongAdmission
            | Code::NotMajor
            | Code::TrialOver
            | Code::ExtensionPending
            | Code::NotRectified
            | Code::WrongSuspension
            | Code::DeadlinePassed
            | Code::NothingToWaive
            | Code::NothingToConfirm
            | Code::Incomplete
            | Code::OnHold
            | Code::NotInternetFacing
            | Code::GroupInUse
            | Code::IcpGateStrict
            | Code::NotNotified
            | Code::NotForAll
            | Code::AlreadyAnnounced
            | Code::NotACanary
            | Code::NothingRuns
            | Code::TooManyApplications => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, refusal.code.as_str(), refusal.sentence);
        let faults = refusal.faults.into_iter();
        faults.fold(problem, |problem, fault| problem.with(fault.pointer, fault.message))
    }
}
