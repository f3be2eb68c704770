//! Deadlines, each with its reasons: the rule, its words and articles of law, and the count day by
//! day with the notices that say what a day is; and the lawful dates of what has not happened yet.

use axum::{Json, extract::State, http::StatusCode};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::{id::TenantId, time::Timestamp};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    App,
    change::Change,
    extract::{Caller, Id, Parameters},
    form,
    problem::Problem,
    tenants::{Shown, host_names},
    view::TenantView,
};
use crate::core::{
    calendar::{self, Because, Calendar, Day},
    counting::{self, CountedDay, Part},
    lifecycle::{Event, Role},
    obligation::{Due, Move, Obligation, ObligationId, ObligationState, Party, Suspension},
    preview::{self, Preview},
    rules::{Basis, Law, Rules},
    tenant::Tenant,
    yearly::Owed,
};

/// What one party owes the other, until when, and how that was counted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeadlineView {
    /// Which obligation.
    pub id: &'static str,
    /// Distinguishes repetitions: from 1.
    pub serial: u32,
    /// Clause of the standard.
    pub clause: String,
    /// Its words.
    pub quote: String,
    /// `customer` or `provider`.
    #[schema(value_type = String)]
    pub party: Party,
    /// The last day on which it is met (Asia/Shanghai).
    #[schema(value_type = Option<String>, format = Date)]
    pub last_day: Option<Date>,
    /// Met before this instant.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// How it was counted.
    pub explanation: String,
    /// The last day without the suspensions of the provider's clock; nothing if there were none.
    #[schema(value_type = Option<String>, format = Date)]
    pub gross_last_day: Option<Date>,
    /// Suspensions of the provider's clock, oldest first.
    pub suspensions: Vec<SuspensionView>,
    /// `open`, `discharged`, `breached` or `lapsed`.
    pub state: &'static str,
    /// When it was met.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub discharged_at: Option<Timestamp>,
    /// When the breach was recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub breached_at: Option<Timestamp>,
}

/// A while in which the provider's clock stood still: it waited for a third party.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SuspensionView {
    /// For whom and for what.
    pub reason: String,
    /// Since when; legal time. This day still counts.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Until when; legal time. The day after it counts again. Nothing while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// A deadline with its reasons.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExplainedView {
    /// The deadline.
    #[serde(flatten)]
    pub deadline: DeadlineView,
    /// Articles of law that ground it, by the rules in force.
    #[schema(value_type = Vec<Object>)]
    pub law: Vec<Law>,
    /// `standard`, or `policy`: the provider's own number.
    #[schema(value_type = String)]
    pub basis: Basis,
    /// What starts it.
    pub starts: String,
    /// What proves that it was met.
    pub evidence: String,
    /// Edition of the rules that it was counted by.
    pub edition: String,
    /// The period, in words.
    pub period: String,
    /// The day that does not count.
    #[schema(value_type = String, format = Date)]
    pub day_zero: Date,
    /// The last day before it was moved off Rest days.
    #[schema(value_type = Option<String>, format = Date)]
    pub raw_end: Option<Date>,
    /// The latest that the last day may become; the last day itself if every day is settled.
    #[schema(value_type = Option<String>, format = Date)]
    pub latest_day: Option<Date>,
    /// The count, day by day, by the calendar in force.
    pub days: Vec<DayView>,
    /// Whether days were left out because there are too many.
    pub cut_off: bool,
    /// The notices that name one of the days.
    pub notices: Vec<String>,
    /// Whether the calendar in force gives the stored deadline; null if it has none of its own.
    pub agrees: Option<bool>,
    /// Every recount by a new notice, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub moves: Vec<Move>,
}

/// What the provider owes of a yearly assessment of the platform.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AssessmentOwedView {
    /// `mlps-level3` or `risk`.
    pub assessment: &'static str,
    /// The day of the last one; null before the first.
    #[schema(value_type = Option<String>, format = Date)]
    pub last: Option<Date>,
    /// Until when the next one is due, with its reasons.
    #[serde(flatten)]
    pub deadline: ExplainedView,
}

/// One day of the calendar, or of a count.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DayView {
    /// The day.
    #[schema(value_type = String, format = Date)]
    pub day: Date,
    /// 星期一 to 星期日.
    pub weekday: &'static str,
    /// `work`, `rest` or `unknown`.
    #[schema(value_type = String)]
    pub kind: Day,
    /// The notice that says it, `weekday`, or the notice that is missing.
    pub because: String,
    /// Its part in a count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// What a deadline is if its period starts on a day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PreviewView {
    /// Which obligation.
    pub id: &'static str,
    /// Clause of the standard.
    pub clause: String,
    /// Who owes it.
    #[schema(value_type = String)]
    pub party: Party,
    /// What starts it.
    pub starts: String,
    /// The period, in words.
    pub period: String,
    /// `standard` or `policy`.
    #[schema(value_type = String)]
    pub basis: Basis,
    /// Day 0. For the extension of a trial it is the raw end of a trial that opens on the day asked
    /// for.
    #[schema(value_type = String, format = Date)]
    pub day_zero: Date,
    /// The last day before it is moved off Rest days.
    #[schema(value_type = Option<String>, format = Date)]
    pub raw_end: Option<Date>,
    /// The last day.
    #[schema(value_type = Option<String>, format = Date)]
    pub last_day: Option<Date>,
    /// The latest that it may become; the last day itself if every day is settled.
    #[schema(value_type = Option<String>, format = Date)]
    pub latest_day: Option<Date>,
    /// For off-boarding: the earliest lawful stop day.
    #[schema(value_type = Option<String>, format = Date)]
    pub stop_day: Option<Date>,
    /// The standard's words.
    pub quote: String,
}

/// On which day.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct On {
    /// The day on which it happens; today if not given.
    #[param(value_type = Option<String>, format = Date)]
    on: Option<Date>,
}

/// Which earlier deadline is signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Which obligation, such as `O5`.
    #[schema(schema_with = obligations)]
    id: ObligationId,
    /// Which of its repetitions, from 1.
    #[schema(minimum = 1)]
    serial: u32,
    /// Why.
    #[schema(schema_with = form::text)]
    reason: String,
}

fn obligations() -> RefOr<Schema> {
    form::words(ObligationId::ALL)
}

/// What is owed until when, under which clause, and how that was counted, day by day
#[utoipa::path(get, path = "/v1/tenants/{id}/deadlines", tag = "tenants",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = [ExplainedView])))]
pub async fn deadlines(
    State(app): State<App>,
    Caller(actor): Caller,
    Id(id): Id<TenantId>,
) -> Result<Json<Vec<ExplainedView>>, Problem> {
    let tenant = app.engine.tenant(id).await?;
    let calendar = app.engine.calendar().await?;
    let rules = app.engine.rules();
    let view = |owed| ExplainedView::of(owed, rules, &calendar, actor.role);
    Ok(Json(tenant.obligations.iter().map(view).collect()))
}

/// What the provider owes of the yearly assessments of the platform, each with its reasons
#[utoipa::path(get, path = "/v1/platform/deadlines", tag = "platform",
    responses((status = 200, body = [AssessmentOwedView])))]
pub async fn platform(
    State(app): State<App>,
    Caller(actor): Caller,
) -> Result<Json<Vec<AssessmentOwedView>>, Problem> {
    let calendar = app.engine.calendar().await?;
    let owed = app.engine.assessments_owed().await?;
    let view = |one: &Owed| AssessmentOwedView {
        assessment: one.assessment.as_str(),
        last: one.last,
        deadline: ExplainedView::of(&one.obligation, app.engine.rules(), &calendar, actor.role),
    };
    Ok(Json(owed.iter().map(view).collect()))
}

/// Sign the earlier deadline that a new notice asks for (R16)
#[utoipa::path(post, path = "/v1/tenants/{id}/deadlines/sign", tag = "provider",
    params(("id" = String, Path, format = "uuid")), request_body = Signature,
    responses((status = 200, body = TenantView)))]
pub async fn sign(
    State(app): State<App>,
    Id(id): Id<TenantId>,
    change: Change<Signature>,
) -> Result<Shown, Problem> {
    let engine = app.engine.clone();
    let sign = |call, Signature { id: of, serial, reason }| async move {
        engine.act(call, id, Event::SignRecount { id: of, serial, reason }).await
    };
    let tenant = change.make(sign).await?;
    let view = TenantView::of(&tenant, &host_names(&app).await?, app.engine.rules());
    Ok(Shown(StatusCode::OK, view))
}

/// The lawful dates of what happens on a day
#[utoipa::path(get, path = "/v1/deadlines/preview", tag = "calendar", params(On),
    responses((status = 200, body = [PreviewView])))]
pub async fn preview(
    State(app): State<App>,
    Parameters(On { on }): Parameters<On>,
) -> Result<Json<Vec<PreviewView>>, Problem> {
    let calendar = app.engine.calendar().await?;
    let rules = app.engine.rules();
    let clock = app.engine.clock();
    let on = on.unwrap_or_else(|| calendar::legal_day(clock.legal(clock.now())));
    let all = preview::preview(on, rules, &calendar);
    Ok(Json(all.iter().map(|one| PreviewView::of(one, rules)).collect()))
}

impl DeadlineView {
    /// What is shown of a tenant's obligations.
    #[must_use]
    pub fn all(tenant: &Tenant, rules: &Rules) -> Vec<Self> {
        tenant.obligations.iter().map(|owed| Self::of(owed, rules)).collect()
    }

    fn of(obligation: &Obligation, rules: &Rules) -> Self {
        let rule = rules.rule(obligation.id);
        let (state, discharged_at, breached_at) = match obligation.state {
            ObligationState::Open => ("open", None, None),
            ObligationState::Discharged { at } => ("discharged", Some(at), None),
            ObligationState::Breached { at, met_at } => ("breached", met_at, Some(at)),
            ObligationState::Lapsed { .. } => ("lapsed", None, None),
        };
        Self {
            id: obligation.id.as_str(),
            serial: obligation.serial,
            clause: rule.clause.clone(),
            quote: rule.quote.clone(),
            party: rule.party,
            last_day: obligation.due.last_day(),
            due_at: obligation.due.due_at(),
            explanation: obligation.explanation(),
            gross_last_day: obligation
                .gross()
                .last_day()
                .filter(|_| !obligation.suspensions.is_empty()),
            suspensions: obligation.suspensions.iter().map(SuspensionView::of).collect(),
            state,
            discharged_at,
            breached_at,
        }
    }
}

impl SuspensionView {
    fn of(suspension: &Suspension) -> Self {
        let Suspension { reason, by: _, from, until, due_before: _ } = suspension;
        Self { reason: reason.clone(), from: *from, until: *until }
    }
}

impl ExplainedView {
    fn of(owed: &Obligation, rules: &Rules, calendar: &Calendar, role: Role) -> Self {
        let explained = counting::explain(owed, calendar);
        let rule = rules.rule(owed.id);
        let agrees = match explained.counted_now {
            Due::Day { .. } => Some(explained.counted_now == owed.due),
            Due::Instant { .. } | Due::Never => None,
        };
        let mut moves = owed.moves.clone();
        if role == Role::Customer {
            // The provider's persons are no matter of the customer's.
            moves.iter_mut().for_each(|one| one.signed_by = None);
        }
        Self {
            deadline: DeadlineView::of(owed, rules),
            law: rules.laws(owed.id).cloned().collect(),
            basis: owed.counted.basis,
            starts: rule.starts.clone(),
            evidence: rule.evidence.clone(),
            edition: owed.counted.edition.clone(),
            period: owed.counted.period.to_string(),
            day_zero: owed.counted.day_zero,
            raw_end: counting::raw_end(&owed.counted),
            latest_day: latest_day(&owed.due),
            days: explained.days.iter().map(DayView::counted).collect(),
            cut_off: explained.cut_off,
            notices: explained.notices.iter().map(|notice| notice.name().to_owned()).collect(),
            agrees,
            moves,
        }
    }
}

impl DayView {
    /// A day of the calendar.
    #[must_use]
    pub fn of(day: Date, calendar: &Calendar) -> Self {
        let (kind, because) = calendar.because(day);
        Self::new(day, kind, because, None)
    }

    fn counted(row: &CountedDay<'_>) -> Self {
        let part = match row.part {
            Part::Zero => "day 0".to_owned(),
            Part::Counts(number) => number.to_string(),
            Part::Skipped => "does not count".to_owned(),
            Part::RawEnd => "raw end".to_owned(),
            Part::Moved => "moved on".to_owned(),
            Part::MovedTo => "last day".to_owned(),
        };
        Self::new(row.day, row.kind, row.because, Some(part))
    }

    fn new(day: Date, kind: Day, because: Because<'_>, part: Option<String>) -> Self {
        let because = match because {
            Because::Notice(notice) => notice.name().to_owned(),
            Because::Weekday => "weekday".to_owned(),
            Because::Missing(year) => format!("the notice for {year} is missing"),
        };
        Self { day, weekday: calendar::chinese_weekday(day), kind, because, part }
    }
}

impl PreviewView {
    fn of(preview: &Preview, rules: &Rules) -> Self {
        let rule = rules.rule(preview.id);
        Self {
            id: preview.id.as_str(),
            clause: rule.clause.clone(),
            party: rule.party,
            starts: rule.starts.clone(),
            period: rule.period.to_string(),
            basis: rule.basis,
            day_zero: preview.day_zero,
            raw_end: preview.raw_end,
            last_day: preview.due.last_day(),
            latest_day: latest_day(&preview.due),
            stop_day: preview.stop_day,
            quote: rule.quote.clone(),
        }
    }
}

fn latest_day(due: &Due) -> Option<Date> {
    match due {
        Due::Day { breach_at, .. } => Some(calendar::legal_day(breach_at.plus_ms(-1))),
        Due::Instant { .. } | Due::Never => None,
    }
}
