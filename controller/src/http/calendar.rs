//! The working-day calendar: what is in force, day by day, and how a new notice comes in.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use jiff::{Span, civil::Date};
use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, time::Timestamp};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{RefOr, Schema},
};
use uuid::Uuid;

use super::{
    App,
    acts::Nothing,
    change::Change,
    deadline::DayView,
    extract::Id,
    form,
    listing::{Listing, Paging},
    problem::Problem,
};
use crate::{
    core::calendar::{
        self, CalendarNotice,
        import::{Draft, Form},
    },
    engine::{Page, Slice, row::CalendarRecord},
};

/// The calendar in force.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CalendarView {
    /// The first settled year.
    pub from_year: Option<i16>,
    /// The last settled year.
    pub to_year: Option<i16>,
    /// From this day on days are unknown.
    #[schema(value_type = Option<String>, format = Date)]
    pub unsettled_from: Option<Date>,
    /// The year whose notice is overdue: next year's from 1 November on.
    pub overdue: Option<i16>,
    /// The notices in force, in the order in which they were put in force.
    pub notices: Vec<NoticeOfYear>,
    /// The notices that wait for a second person.
    pub proposals: Vec<NoticeOfYear>,
}

/// A notice of the State Council.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NoticeOfYear {
    /// Which; a shipped one has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = "uuid", required = false)]
    pub id: Option<Uuid>,
    /// The year that it is about.
    pub year: i16,
    /// Whether it changes a year that another notice has settled.
    pub amends: bool,
    /// Its number; nothing if it is not confirmed.
    pub number: Option<String>,
    /// Its title.
    pub title: String,
    /// When it was issued; nothing if that is not confirmed.
    #[schema(value_type = Option<String>, format = Date)]
    pub issued: Option<Date>,
    /// Where it can be read.
    pub source: Option<String>,
    /// What is to be known of it besides.
    pub note: Option<String>,
    /// SHA-256 of its text, if that is at hand.
    #[schema(value_type = Option<String>)]
    pub sha256: Option<Digest>,
    /// Days off that it names.
    #[schema(value_type = Vec<String>)]
    pub rest: Vec<Date>,
    /// Working days that it names.
    #[schema(value_type = Vec<String>)]
    pub work: Vec<Date>,
    /// Who entered it; nothing for a shipped one.
    pub proposed_by: Option<String>,
    /// Who put it in force; nothing for a shipped one, and for a proposal.
    pub enacted_by: Option<String>,
    /// When it was put in force.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub enacted_at: Option<Timestamp>,
}

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Days {
    /// The first.
    #[param(value_type = String, format = Date)]
    from: Date,
    /// The last.
    #[param(value_type = String, format = Date)]
    to: Date,
}

/// A notice as it is handed in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticeForm {
    /// `text`: its Chinese text; `holiday-cn`: a year's file of holiday-cn.
    #[schema(schema_with = forms)]
    form: Form,
    /// The text, or the file.
    body: String,
    /// The number, such as 国办发明电〔2025〕7号; not needed if it stands in the text.
    #[serde(default)]
    number: Option<String>,
    /// The title; not needed if it stands in the text.
    #[serde(default)]
    title: Option<String>,
    /// The day under the signature; not needed if it stands in the text.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    issued: Option<Date>,
    /// Where it can be read.
    #[serde(default)]
    source: Option<String>,
}

fn forms() -> RefOr<Schema> {
    form::words([Form::Text, Form::HolidayCn])
}

/// The calendar in force: years, notices, who put them in force, and what is unknown
#[utoipa::path(get, path = "/v1/calendar", tag = "calendar",
    responses((status = 200, body = CalendarView)))]
pub async fn show(State(app): State<App>) -> Result<Json<CalendarView>, Problem> {
    let calendar = app.engine.calendar().await?;
    let records = app.engine.calendar_records().await?;
    let clock = app.engine.clock();
    let today = calendar::legal_day(clock.legal(clock.now()));
    let entered = |notice: &CalendarNotice| records.iter().find(|record| record.notice == *notice);
    let (from_year, to_year) = calendar.years().unzip();
    let waiting = records.iter().filter(|record| record.enacted.is_none());
    Ok(Json(CalendarView {
        from_year,
        to_year,
        unsettled_from: calendar.unsettled_from(),
        overdue: calendar.overdue(today),
        notices: calendar
            .notices()
            .iter()
            .map(|notice| NoticeOfYear::of(notice, entered(notice)))
            .collect(),
        proposals: waiting.map(|record| NoticeOfYear::of(&record.notice, Some(record))).collect(),
    }))
}

/// Days, each with Work, Rest or Unknown, and why
#[utoipa::path(get, path = "/v1/calendar/days", tag = "calendar", params(Days, Paging),
    responses((status = 200, body = [DayView])))]
pub async fn days(
    State(app): State<App>,
    listing: Listing<Date, Days>,
) -> Result<Response, Problem> {
    let calendar = app.engine.calendar().await?;
    let (Days { from, to }, Page { after, limit }) = (&listing.filter, &listing.page);
    let first = after.map_or(*from, |day| calendar::plus_days(day, 1).max(*from));
    let days = first.series(Span::new().days(1)).take_while(|day| day <= to);
    // A day that is its own successor is the last one there is.
    let mut days = days.filter(|day| after.is_none_or(|after| *day > after));
    let items: Vec<Date> = days.by_ref().take(*limit as usize).collect();
    let next = days.next().and_then(|_| items.last().copied());
    Ok(listing.answer(Slice { items, next }, |day| DayView::of(day, &calendar)))
}

/// Propose a notice: it is read and checked, and changes nothing until another person enacts it
#[utoipa::path(post, path = "/v1/calendar/notices", tag = "calendar", request_body = NoticeForm,
    responses((status = 201, body = NoticeOfYear)))]
pub async fn propose(
    State(app): State<App>,
    change: Change<NoticeForm>,
) -> Result<(StatusCode, Json<NoticeOfYear>), Problem> {
    let engine = app.engine.clone();
    let record = change
        .make(|call, NoticeForm { form, body, number, title, issued, source }| async move {
            let draft = Draft { form, body, number, title, issued, source };
            engine.propose_notice(call, draft).await
        })
        .await?;
    Ok((StatusCode::CREATED, Json(NoticeOfYear::of(&record.notice, Some(&record)))))
}

/// Put a proposed notice in force, as another person than the one who proposed it
#[utoipa::path(post, path = "/v1/calendar/notices/{id}/enact", tag = "calendar",
    params(("id" = String, Path, format = "uuid")), request_body = Nothing,
    responses((status = 200, body = NoticeOfYear)))]
pub async fn enact(
    State(app): State<App>,
    Id(id): Id<Uuid>,
    change: Change<Nothing>,
) -> Result<Json<NoticeOfYear>, Problem> {
    let engine = app.engine.clone();
    let enact = |call, Nothing {}| async move { engine.enact_notice(call, id).await };
    let record = change.make(enact).await?;
    Ok(Json(NoticeOfYear::of(&record.notice, Some(&record))))
}

/// Why a proposal is not to come in force.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticeRejection {
    /// Why: it stands in the journal.
    #[schema(schema_with = form::text)]
    reason: String,
}

/// Reject a proposed notice, or take back one's own
#[utoipa::path(post, path = "/v1/calendar/notices/{id}/reject", tag = "calendar",
    params(("id" = String, Path, format = "uuid")), request_body = NoticeRejection,
    responses((status = 200, body = NoticeOfYear)))]
pub async fn reject(
    State(app): State<App>,
    Id(id): Id<Uuid>,
    change: Change<NoticeRejection>,
) -> Result<Json<NoticeOfYear>, Problem> {
    let engine = app.engine.clone();
    let reject = |call, NoticeRejection { reason }| async move {
        engine.reject_notice(call, id, reason).await
    };
    let record = change.make(reject).await?;
    Ok(Json(NoticeOfYear::of(&record.notice, Some(&record))))
}

impl NoticeOfYear {
    fn of(notice: &CalendarNotice, record: Option<&CalendarRecord>) -> Self {
        let (enacted_by, enacted_at) = record.and_then(|record| record.enacted.clone()).unzip();
        Self {
            id: record.map(|record| record.id),
            year: notice.year,
            amends: notice.amends,
            number: notice.number.clone(),
            title: notice.title.clone(),
            issued: notice.issued,
            source: notice.source.clone(),
            note: notice.note.clone(),
            sha256: notice.digest(),
            rest: notice.rest.iter().copied().collect(),
            work: notice.work.iter().copied().collect(),
            proposed_by: record.map(|record| record.proposed_by.clone()),
            enacted_by,
            enacted_at,
        }
    }
}
