//! The duty desk: what needs a person of the provider now.

use axum::{Json, extract::State};
use serde::Serialize;
use tenure_protocol::{id::TenantId, time::Timestamp};
use utoipa::ToSchema;

use super::{App, extract::Caller, problem::Problem};
use crate::{
    core::{
        duty::{OnDesk, Phone},
        lifecycle::Role,
    },
    engine::{AccountRecord, Desk, TokenRecord},
};

/// What is on the duty desk.
#[derive(Debug, Serialize, ToSchema)]
pub struct DutyView {
    /// When it was read, real clock: `seconds_left` counts from it.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Whether there is more than one answer holds: the least urgent of it.
    more: bool,
    /// What has to be done, most urgent first.
    needs: Vec<NeedView>,
}

/// One thing that needs a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct NeedView {
    /// `cut-untold`: the customer does not know of an emergency cut yet; `watch-lost`: a host will
    /// not tell it if the controller cannot; `cut-pending`: a host has not carried a cut or restore
    /// out; `host-alarm`: an alarm of a host stands; `wipe-failed`; `planned-cut`; `cut-open`: a
    /// cut is temporary; `drill`: of a canary, under way, failed or overdue; `wipe-approval`;
    /// `contacts`: a probe of a customer's contacts is
    /// unanswered; `deadline`: of the provider; `standing-lost`: a host would not tell customers of
    /// a cut that a person orders there; `account` and `token`: to be confirmed.
    kind: &'static str,
    /// `trying`, `second-contacts`, `phone` and `breached`: the ladder of a cut that the customer
    /// does not know of; `not-kept`, `failed` or `unreachable`: a host; the kind of an alarm;
    /// `not-notified` or `notified`: of a planned cut; `cutting`, `cut` or `restoring`; `waiting`:
    /// for approvals or a confirmation; `not-delivered` or `unacknowledged`: a probe; `due` or
    /// `overdue`.
    standing: &'static str,
    /// What is left of the time, seconds; negative if it has passed.
    seconds_left: Option<i64>,
    /// Until when.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// The cut's number, the obligation, the host, an alarm's host and number, a probe's month, how
    /// many of the two approvals are there, or what is to be confirmed.
    about: String,
    /// The reason of the cut, or the host's words.
    words: Option<String>,
    /// Whom to phone.
    phones: Vec<PhoneView>,
    /// Whose.
    customer: Option<String>,
    /// The name of its system.
    system: Option<String>,
    /// The tenant.
    #[schema(value_type = Option<String>, format = "uuid")]
    tenant: Option<TenantId>,
}

/// A person of the customer who can be phoned.
#[derive(Debug, Serialize, ToSchema)]
pub struct PhoneView {
    /// Who.
    name: String,
    /// The number.
    number: String,
    /// When it can be reached, in the customer's words.
    available: Option<String>,
}

/// What needs a person of the provider now, most urgent first
#[utoipa::path(get, path = "/v1/duty", tag = "provider",
    responses((status = 200, body = DutyView)))]
pub async fn duty(
    State(app): State<App>,
    Caller(actor): Caller,
) -> Result<Json<DutyView>, Problem> {
    let Desk { at, needs, accounts, tokens, more } = app.engine.duty().await?;
    let mut needs: Vec<NeedView> = needs.into_iter().map(NeedView::from).collect();
    // Who may come in is shown to those who may read it.
    if matches!(actor.role, Role::Security | Role::Administrator | Role::Auditor) {
        needs.extend(accounts.iter().map(NeedView::account));
        needs.extend(tokens.iter().map(|token| NeedView::token(token, at)));
    }
    Ok(Json(DutyView { at, more, needs }))
}

impl From<OnDesk> for NeedView {
    fn from(need: OnDesk) -> Self {
        let OnDesk { need, whose, standing, about, words, due, phones } = need;
        let tenant = whose.as_ref().map(|whose| whose.tenant);
        let (customer, system) = whose.map_or((None, None), |one| (one.customer, one.system));
        Self {
            kind: need.as_str(),
            standing,
            seconds_left: due.map(|due| due.left_ms.div_euclid(1000)),
            due_at: due.map(|due| due.at),
            about,
            words,
            phones: phones.into_iter().map(PhoneView::from).collect(),
            customer,
            system,
            tenant,
        }
    }
}

impl NeedView {
    fn account(account: &AccountRecord) -> Self {
        Self::confirmation("account", account.name.clone(), account.customer.clone())
    }

    fn token(token: &TokenRecord, at: Timestamp) -> Self {
        Self {
            seconds_left: Some(token.expires_at.ms_since(at).div_euclid(1000)),
            due_at: Some(token.expires_at),
            ..Self::confirmation("token", token.id.clone(), token.grant.customer.clone())
        }
    }

    fn confirmation(kind: &'static str, about: String, customer: Option<String>) -> Self {
        Self {
            kind,
            standing: "waiting",
            seconds_left: None,
            due_at: None,
            about,
            words: None,
            phones: Vec::new(),
            customer,
            system: None,
            tenant: None,
        }
    }
}

impl From<Phone> for PhoneView {
    fn from(phone: Phone) -> Self {
        let Phone { name, number, available } = phone;
        Self { name, number, available }
    }
}
