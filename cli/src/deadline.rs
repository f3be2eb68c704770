//! `tenurectl deadline`: what is due, why on that day, and what would be due.

use clap::Subcommand;
use serde_json::{Value, json};
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    calendar::day,
    failure::Failure,
    harmless::harmless,
    screen::{Column, Format, Screen, column},
};

/// What can be asked of deadlines.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadlineVerb {
    /// What is due, when, by whom, under which clause
    List {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Why a deadline is when it is: rule, law, and every day with the notice that says what it is
    Explain {
        /// The tenant's id
        tenant: TenantId,
        /// The obligation, such as O6a
        #[arg(value_parser = obligation)]
        obligation: String,
        /// Which of its repetitions; the last one if not given
        #[arg(long)]
        serial: Option<u32>,
    },
    /// Until when the platform's yearly assessments are due
    Platform,
    /// The lawful dates of what would happen on a day
    Preview {
        /// The day; today if not given
        #[arg(long, value_name = "DATE", value_parser = day)]
        on: Option<String>,
    },
    /// Sign the earlier deadline that a new notice asks for (administrator)
    Sign {
        /// The tenant's id
        tenant: TenantId,
        /// The obligation, such as O5
        #[arg(value_parser = obligation)]
        obligation: String,
        /// Which of its repetitions
        #[arg(long)]
        serial: u32,
        /// Why: kept in the journal
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

const DEADLINES: &[Column] = &[
    column("OBLIGATION", &["/id"]),
    column("NO", &["/serial"]),
    column("CLAUSE", &["/clause"]),
    column("OWED BY", &["/party"]),
    column("LAST DAY", &["/last_day"]),
    column("DUE BEFORE", &["/due_at"]),
    column("STATE", &["/state"]),
    column("MET", &["/discharged_at"]),
    column("HOW COUNTED", &["/explanation"]),
];

const PLATFORM: &[Column] = &[
    column("ASSESSMENT", &["/assessment"]),
    column("LAST ONE", &["/last"]),
    column("CLAUSE", &["/clause"]),
    column("LAST DAY", &["/last_day"]),
    column("AT THE LATEST", &["/latest_day"]),
    column("STATE", &["/state"]),
    column("HOW COUNTED", &["/explanation"]),
];

const PREVIEW: &[Column] = &[
    column("OBLIGATION", &["/id"]),
    column("CLAUSE", &["/clause"]),
    column("OWED BY", &["/party"]),
    column("DAY 0", &["/day_zero"]),
    column("PERIOD", &["/period"]),
    column("RAW END", &["/raw_end"]),
    column("LAST DAY", &["/last_day"]),
    column("AT THE LATEST", &["/latest_day"]),
    column("STOP DAY", &["/stop_day"]),
    column("STARTS WITH", &["/starts"]),
];

const DAYS: &[Column] = &[
    column("DAY", &["/day"]),
    column("WEEKDAY", &["/weekday"]),
    column("IS", &["/kind"]),
    column("COUNTS", &["/part"]),
    column("BECAUSE", &["/because"]),
];

const LAW: &[Column] =
    &[column("LAW", &["/title"]), column("ARTICLE", &["/article"]), column("SAYS", &["/about"])];

const MOVES: &[Column] = &[
    column("MOVED AT", &["/at"]),
    column("FROM", &["/old/last_day"]),
    column("TO", &["/new/last_day"]),
    column("APPLIED", &["/applied"]),
    column("SIGNED BY", &["/signed_by"]),
    column("NOTICE", &["/notice"]),
    column("REASON", &["/reason"]),
];

/// Runs it.
pub(crate) fn run(verb: DeadlineVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        DeadlineVerb::List { tenant } => {
            screen.many(&api.get(&format!("/v1/tenants/{tenant}/deadlines"))?, DEADLINES)
        }
        DeadlineVerb::Explain { tenant, obligation, serial } => {
            let all = api.get(&format!("/v1/tenants/{tenant}/deadlines"))?;
            explain(find(&all, &obligation, serial)?, screen)
        }
        DeadlineVerb::Platform => screen.many(&api.get("/v1/platform/deadlines")?, PLATFORM),
        DeadlineVerb::Preview { on } => {
            let query = on.map(|day| format!("?on={day}")).unwrap_or_default();
            screen.many(&api.get(&format!("/v1/deadlines/preview{query}"))?, PREVIEW)
        }
        DeadlineVerb::Sign { tenant, obligation, serial, reason } => {
            let body = json!({ "id": obligation, "serial": serial, "reason": reason });
            screen.one(&api.post(&format!("/v1/tenants/{tenant}/deadlines/sign"), &body)?)
        }
    }
}

fn find<'a>(all: &'a Value, id: &str, serial: Option<u32>) -> Result<&'a Value, Failure> {
    let list = all.as_array().map_or(&[][..], Vec::as_slice);
    let fits = |one: &&Value| {
        one["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id))
            && serial.is_none_or(|serial| one["serial"] == serial)
    };
    list.iter().rfind(fits).ok_or_else(|| {
        let known: Vec<_> = list.iter().filter_map(|one| one["id"].as_str()).collect();
        Failure::Usage(format!("this tenant has no such deadline; it has {}", known.join(", ")))
    })
}

fn explain(view: &Value, screen: &Screen) -> Result<(), Failure> {
    if screen.format() == Format::Json {
        return screen.json(view);
    }
    let parts = ["days", "law", "moves", "notices"];
    let mut head = view.clone();
    if let Some(members) = head.as_object_mut() {
        members.retain(|name, value| !parts.contains(&name.as_str()) && !value.is_null());
    }
    screen.one(&head)?;
    for (title, part, columns) in [
        (screen.fill("By law", &[]), "law", LAW),
        (screen.fill("Day by day", &[]), "days", DAYS),
        (screen.fill("Counted anew", &[]), "moves", MOVES),
    ] {
        if view[part].as_array().is_some_and(|rows| !rows.is_empty()) {
            screen.text(&format!("\n{title}:"))?;
            screen.many(&view[part], columns)?;
        }
    }
    let notices = view["notices"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<_> = notices.iter().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    screen.text(&harmless(&screen.fill("Notices used: {}", &[&names.join("; ")])))
}

/// An obligation's id: a letter, figures, perhaps a letter.
fn obligation(text: &str) -> Result<String, String> {
    let wrong = || "an obligation is such as O3 or O6a".to_owned();
    let rest = text.strip_prefix(['O', 'o']).ok_or_else(wrong)?;
    let figures = rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let fits = !figures.is_empty()
        && figures.len() <= 2
        && rest.len() - figures.len() <= 1
        && figures.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(format!("O{}", rest.to_ascii_lowercase())) } else { Err(wrong()) }
}
