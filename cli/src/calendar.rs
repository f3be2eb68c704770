//! `tenurectl calendar`: the working days in force, and how the State Council's next notice comes
//! in: one person imports it, another one enacts it.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Format, Screen, column},
};

/// Most bytes of a notice.
const MAX_NOTICE_BYTES: u64 = 48 * 1024;

/// What can be done with the calendar.
#[derive(Debug, Subcommand)]
pub(crate) enum CalendarVerb {
    /// The notices in force and the proposals; or single days with --from and --to
    Show {
        /// The first day to show
        #[arg(long, value_name = "DATE", requires = "to", value_parser = day)]
        from: Option<String>,
        /// The last day to show
        #[arg(long, value_name = "DATE", requires = "from", value_parser = day)]
        to: Option<String>,
    },
    /// Propose a notice: it is checked, and changes nothing yet (reviewer, administrator)
    Import(ImportArgs),
    /// Put a proposed notice in force, as another person (reviewer, administrator)
    Enact {
        /// The proposal's id
        notice: Uuid,
    },
}

/// A notice, and what does not stand in it.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The notice's Chinese text, or a year's file of holiday-cn; - for standard input
    file: PathBuf,
    /// What the file is
    #[arg(long, value_enum, default_value_t)]
    form: Form,
    /// The number, such as 国办发明电〔2025〕7号, if it does not stand in the text
    #[arg(long)]
    number: Option<String>,
    /// The title, if it does not stand in the text
    #[arg(long)]
    title: Option<String>,
    /// The day under the signature, if it does not stand in the text
    #[arg(long, value_name = "DATE", value_parser = day)]
    issued: Option<String>,
    /// Where the notice can be read
    #[arg(long, value_name = "URL")]
    source: Option<String>,
}

/// Forms of a notice.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Form {
    /// Its own Chinese text.
    #[default]
    Text,
    /// A JSON file of holiday-cn.
    HolidayCn,
}

const NOTICES: &[Column] = &[
    column("YEAR", &["/year"]),
    column("NUMBER", &["/number"]),
    column("ISSUED", &["/issued"]),
    column("AMENDS", &["/amends"]),
    column("PROPOSED BY", &["/proposed_by"]),
    column("ENACTED BY", &["/enacted_by"]),
    column("TITLE", &["/title"]),
];

const PROPOSALS: &[Column] = &[
    column("PROPOSAL", &["/id"]),
    column("YEAR", &["/year"]),
    column("NUMBER", &["/number"]),
    column("ISSUED", &["/issued"]),
    column("PROPOSED BY", &["/proposed_by"]),
    column("OFF", &["/rest"]),
    column("WORKED", &["/work"]),
    column("TITLE", &["/title"]),
];

const DAYS: &[Column] = &[
    column("DAY", &["/day"]),
    column("WEEKDAY", &["/weekday"]),
    column("IS", &["/kind"]),
    column("BECAUSE", &["/because"]),
];

/// Runs it.
pub(crate) fn run(verb: CalendarVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        CalendarVerb::Show { from: Some(from), to: Some(to) } => {
            screen.many(&api.list(&format!("/v1/calendar/days?from={from}&to={to}"))?, DAYS)
        }
        CalendarVerb::Show { .. } => show(&api.get("/v1/calendar")?, screen),
        CalendarVerb::Import(args) => screen.one(&api.post("/v1/calendar/notices", &args.body()?)?),
        CalendarVerb::Enact { notice } => {
            screen.one(&api.post(&format!("/v1/calendar/notices/{notice}/enact"), &json!({}))?)
        }
    }
}

fn show(view: &Value, screen: &Screen) -> Result<(), Failure> {
    if screen.format() == Format::Json {
        return screen.json(view);
    }
    if let Some(year) = view["overdue"].as_i64() {
        screen.text(&format!(
            "ALARM: the State Council's notice for {year} is not entered. Deadlines that reach it \
             are provisional.\n"
        ))?;
    }
    screen.many(&view["notices"], NOTICES)?;
    let until = view["unsettled_from"].as_str().unwrap_or("the beginning");
    screen.text(&format!("\nUnknown from {until} on."))?;
    if view["proposals"].as_array().is_some_and(|proposals| !proposals.is_empty()) {
        screen.text("\nProposals that wait for another person:")?;
        screen.many(&view["proposals"], PROPOSALS)?;
    }
    Ok(())
}

impl ImportArgs {
    fn body(&self) -> Result<Value, Failure> {
        let form = match self.form {
            Form::Text => "text",
            Form::HolidayCn => "holiday-cn",
        };
        let mut body = json!({ "form": form, "body": read(&self.file)? });
        let rest = [
            ("number", &self.number),
            ("title", &self.title),
            ("issued", &self.issued),
            ("source", &self.source),
        ];
        for (name, value) in rest {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        Ok(body)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(fs::File::open(path).map_err(failed)?)
    };
    source.take(MAX_NOTICE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_NOTICE_BYTES {
        let sentence = format!("{} is longer than {MAX_NOTICE_BYTES} bytes", path.display());
        return Err(Failure::Usage(sentence));
    }
    Ok(text)
}

/// A day goes into a query: figures and dashes alone. The controller says whether there is such a
/// day.
pub(crate) fn day(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let fits = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if fits { Ok(text.to_owned()) } else { Err("a day is such as 2026-10-20".to_owned()) }
}
