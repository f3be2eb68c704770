//! Taking a notice in: from its Chinese text, or from a JSON file of holiday-cn.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{
    Calendar,
    notice::{CalendarNotice, NoticeError},
    text,
};

/// Bytes that a file may have.
const MAX_JSON_BYTES: usize = 48 * 1024;

/// In which form a notice is handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Its own Chinese text.
    Text,
    /// A year's file of holiday-cn.
    HolidayCn,
}

/// What a person hands in. What stands in the text too has to be the same there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its form.
    pub form: Form,
    /// The text, or the file.
    pub body: String,
    /// The number, such as 国办发明电〔2025〕7号.
    pub number: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The day under the signature.
    pub issued: Option<Date>,
    /// Where it can be read.
    pub source: Option<String>,
}

#[derive(Deserialize)]
struct File {
    year: i16,
    #[serde(default)]
    papers: Vec<String>,
    days: Vec<FileDay>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileDay {
    date: Date,
    is_off_day: bool,
}

/// Makes a notice of a draft, and checks it against the ones in force.
///
/// # Errors
/// [`NoticeError`] says what contradicts what.
pub fn read(draft: &Draft, calendar: &Calendar) -> Result<CalendarNotice, NoticeError> {
    let notice = match draft.form {
        Form::Text => from_text(draft, calendar)?,
        Form::HolidayCn => from_file(draft)?,
    };
    notice.check(calendar)?;
    Ok(notice)
}

fn from_text(draft: &Draft, calendar: &Calendar) -> Result<CalendarNotice, NoticeError> {
    let read = text::read(&draft.body, None, calendar)?;
    Ok(CalendarNotice {
        year: read.year,
        amends: read.amends,
        number: Some(agreed("number", draft.number.clone(), read.number)?),
        title: agreed("title", draft.title.clone(), read.title)?,
        issued: Some(agreed("issued", draft.issued, read.issued)?),
        source: draft.source.clone(),
        note: None,
        rest: read.rest,
        work: read.work,
        text: Some(draft.body.clone()),
    })
}

fn from_file(draft: &Draft) -> Result<CalendarNotice, NoticeError> {
    if draft.body.len() > MAX_JSON_BYTES {
        return Err(NoticeError(format!("the file is longer than {MAX_JSON_BYTES} bytes")));
    }
    let File { year, papers, days } = serde_json::from_str(&draft.body)
        .map_err(|error| NoticeError(format!("this is no file of holiday-cn: {error}")))?;
    if days.is_empty() {
        let sentence = format!("the file for {year} is empty: its notice is not in it yet");
        return Err(NoticeError(sentence));
    }
    let (mut rest, mut work) = (BTreeSet::new(), BTreeSet::new());
    for FileDay { date, is_off_day } in days {
        let fresh = if is_off_day { rest.insert(date) } else { work.insert(date) };
        if !fresh {
            return Err(NoticeError(format!("the file has {date} twice")));
        }
    }
    Ok(CalendarNotice {
        year,
        amends: false,
        number: Some(agreed("number", draft.number.clone(), None)?),
        title: agreed("title", draft.title.clone(), None)?,
        issued: Some(agreed("issued", draft.issued, None)?),
        source: draft.source.clone().or_else(|| papers.first().cloned()),
        note: Some("days from a file of holiday-cn".to_owned()),
        rest,
        work,
        text: None,
    })
}

/// What was given, or read, or both if they are the same.
fn agreed<T: PartialEq + std::fmt::Display>(
    name: &str,
    given: Option<T>,
    read: Option<T>,
) -> Result<T, NoticeError> {
    match (given, read) {
        (Some(given), Some(read)) if given != read => Err(NoticeError(format!(
            "{name} is given as {given}, and stands in the text as {read}: which one is it?"
        ))),
        (Some(one), _) | (None, Some(one)) => Ok(one),
        (None, None) => Err(NoticeError(format!("{name} is missing: give it"))),
    }
}
