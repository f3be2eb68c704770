//! What the reader sees: answers on stdout, as tables for people or JSON for scripts; progress and
//! complaints on stderr. A full stdout is a failure, and no text of another machine can move the
//! terminal's cursor.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use clap::ValueEnum;
use serde_json::Value;

use crate::{
    args::Global,
    environment::first_of,
    failure::Failure,
    harmless::{harmless, harmless_json},
    table::{Cell, lay_out},
    text::{Lang, Text, holds_word},
};

/// How answers are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people.
    #[default]
    Table,
    /// The API's own answer, for scripts.
    Json,
}

/// When tables are coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Never.
    Never,
}

/// A column of a table: its title, and where its value stands (the first JSON pointer that exists).
pub(crate) struct Column {
    title: &'static str,
    pointers: &'static [&'static str],
}

/// A column.
pub(crate) const fn column(title: &'static str, pointers: &'static [&'static str]) -> Column {
    Column { title, pointers }
}

/// stdout and stderr of this run.
pub(crate) struct Screen {
    format: Format,
    colour: bool,
    text: Text,
}

impl Screen {
    /// A screen as the options and the session have it.
    pub(crate) fn new(global: &Global) -> Self {
        let locale = || first_of(&["LC_ALL", "LC_MESSAGES", "LANG"]).unwrap_or_default();
        let lang = global.lang.unwrap_or_else(|| Lang::of_locale(&locale()));
        let colour = match global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                io::stdout().is_terminal()
                    && first_of(&["NO_COLOR"]).is_none()
                    && first_of(&["TERM"]).is_none_or(|term| term != "dumb")
            }
        };
        Self { format: global.output, colour, text: Text::new(lang) }
    }

    /// A screen without settings.
    pub(crate) fn plain() -> Self {
        Self { format: Format::Table, colour: false, text: Text::new(Lang::En) }
    }

    /// How answers are shown.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether somebody looks on while something is under way.
    pub(crate) fn is_watched(&self) -> bool {
        self.format == Format::Table && io::stderr().is_terminal()
    }

    /// Shows one thing: its members in two columns.
    pub(crate) fn one(&self, value: &Value) -> Result<(), Failure> {
        match (self.format, value) {
            (Format::Json, _) => self.json(value),
            (Format::Table, Value::Object(members)) => {
                let rows: Vec<_> = members
                    .iter()
                    .map(|(name, member)| {
                        let title = Cell::title(harmless(&self.text.member(name)));
                        vec![title, self.worded(name, member, self.block(name, member))]
                    })
                    .collect();
                self.text(&lay_out(&rows, self.colour))
            }
            (Format::Table, Value::Null) => self.text(&self.fill("done", &[])),
            (Format::Table, other) => self.text(&self.block("", other)),
        }
    }

    /// Shows many things of a kind, one per line.
    pub(crate) fn many(&self, value: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.format == Format::Json {
            return self.json(value);
        }
        let things = rows(value);
        if things.is_empty() {
            return self.text(&self.fill("none", &[]));
        }
        let titles = columns.iter().map(|column| Cell::title(self.text.title(column.title)));
        let mut laid = vec![titles.collect::<Vec<_>>()];
        laid.extend(things.iter().map(|thing| {
            columns.iter().map(|column| self.cell(thing, column.pointers)).collect::<Vec<_>>()
        }));
        self.text(&lay_out(&laid, self.colour))
    }

    /// A sentence of this program in the reader's language, with its `{}` filled in.
    pub(crate) fn fill(&self, english: &str, parts: &[&str]) -> String {
        self.text.fill(english, parts)
    }

    /// A word of the API in the reader's language.
    pub(crate) fn word(&self, word: &str) -> String {
        self.text.word(word).to_owned()
    }

    /// Shows a sentence to people, the whole answer to scripts.
    pub(crate) fn say(&self, sentence: &str, value: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&harmless(sentence)),
            Format::Json => self.json(value),
        }
    }

    /// Writes JSON whatever the format, for what is JSON by its nature.
    pub(crate) fn json(&self, value: &Value) -> Result<(), Failure> {
        self.text(&harmless_json(&format!("{value:#}")))
    }

    /// One thing on one line, for streams that a script reads.
    pub(crate) fn line_of_json(&self, value: &Value) -> Result<(), Failure> {
        self.text(&harmless_json(&value.to_string()))
    }

    /// Begins a page anew, and says whether there is one: on a terminal what stood there goes, in a
    /// file it stays.
    pub(crate) fn begin_anew(&self) -> Result<bool, Failure> {
        let page = io::stdout().is_terminal();
        if page {
            self.bytes(b"\x1b[H\x1b[2J")?;
        }
        Ok(page)
    }

    /// Writes text and a line's end, and makes sure that it arrived. The text is harmless.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes bytes as they are, and makes sure that they arrived.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Stdout)
    }

    /// Tells people how far something is; there is nobody to tell when stderr is gone.
    pub(crate) fn tell(&self, text: impl Display) {
        let text = text.to_string();
        let lines: Vec<_> = text.lines().map(harmless).collect();
        let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
    }

    /// Says on stderr why the run failed.
    pub(crate) fn complain(&self, failure: &Failure) {
        match self.format {
            Format::Table => self.tell(format!("tenurectl: {}", harmless(&failure.to_string()))),
            Format::Json => {
                let json = harmless_json(&failure.as_json().to_string());
                let _ = writeln!(io::stderr(), "{json}");
            }
        }
    }

    fn cell(&self, thing: &Value, pointers: &[&str]) -> Cell {
        let Some((pointer, value)) = find(thing, pointers) else { return Cell::plain("-") };
        let member = pointer.rsplit('/').next().unwrap_or_default();
        let shown = match value {
            Value::Array(items) if items.iter().any(Value::is_object) => items.len().to_string(),
            value => self.inline(member, value),
        };
        self.worded(member, value, shown)
    }

    /// In the colour of the state that a member holds.
    fn worded(&self, member: &str, value: &Value, shown: String) -> Cell {
        let state = value.as_str().or_else(|| value.get("state")?.as_str());
        match state.filter(|_| holds_word(member)) {
            Some(word) => Cell::state(shown, word),
            None => Cell::plain(shown),
        }
    }

    fn inline(&self, member: &str, value: &Value) -> String {
        match value {
            Value::Bool(true) => self.fill("yes", &[]),
            Value::Bool(false) => self.fill("no", &[]),
            Value::String(word) if holds_word(member) => harmless(self.text.word(word)),
            Value::Array(items) if !items.is_empty() => {
                items.iter().map(|item| self.inline(member, item)).collect::<Vec<_>>().join(", ")
            }
            Value::Object(members) => members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| {
                    let title = harmless(&self.text.member(name)).replace(' ', "_");
                    format!("{title}={}", self.inline(name, value))
                })
                .collect::<Vec<_>>()
                .join(" "),
            other => bare(other),
        }
    }

    /// Like [`Self::inline`], but a list of things takes a line for each.
    fn block(&self, member: &str, value: &Value) -> String {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                items.iter().map(|item| self.inline(member, item)).collect::<Vec<_>>().join("\n")
            }
            other => self.inline(member, other),
        }
    }
}

/// The rows of a list: the array, or the one array in an object around it.
pub(crate) fn rows(value: &Value) -> &[Value] {
    match value {
        Value::Array(rows) => rows,
        Value::Object(members) => {
            members.values().find_map(Value::as_array).map_or(&[], Vec::as_slice)
        }
        _ => &[],
    }
}

/// The value at the first pointer that exists, as the API has it; of a list of things their number.
pub(crate) fn cell(row: &Value, pointers: &[&str]) -> String {
    match find(row, pointers) {
        None => "-".to_owned(),
        Some((_, Value::Array(items))) if items.iter().any(Value::is_object) => {
            items.len().to_string()
        }
        Some((_, value)) => bare(value),
    }
}

fn find<'a, 'b>(row: &'a Value, pointers: &[&'b str]) -> Option<(&'b str, &'a Value)> {
    let found = |at: &&'b str| row.pointer(at).filter(|value| !value.is_null());
    pointers.iter().find_map(|at| Some((*at, found(at)?)))
}

fn bare(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::String(text) => harmless(text),
        other => harmless(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn screen(lang: Lang) -> Screen {
        Screen { text: Text::new(lang), ..Screen::plain() }
    }

    #[test]
    fn a_cell_takes_the_first_pointer_that_exists_and_a_dash_for_none() {
        let row = json!({"system": {"name": "portal"}, "wipe": null, "open": true});
        let screen = screen(Lang::En);
        assert_eq!(screen.cell(&row, &["/system/name", "/system"]), Cell::plain("portal"));
        assert_eq!(screen.cell(&row, &["/wipe"]), Cell::plain("-"));
        assert_eq!(screen.cell(&row, &["/absent", "/open"]), Cell::plain("yes"));
        assert_eq!(screen.cell(&json!({"tries": [{}, {}]}), &["/tries"]), Cell::plain("2"));
        assert_eq!(cell(&row, &["/system/name"]), "portal");
    }

    #[test]
    fn words_of_the_api_are_put_into_chinese_and_what_people_wrote_is_not() {
        let row = json!({"phase": "trial", "customer": "trial", "isolation": {"state": "cut"},
            "reason": "cut"});
        let screen = screen(Lang::ZhCn);
        assert_eq!(screen.cell(&row, &["/phase"]), Cell::state("试运行", "trial"));
        assert_eq!(screen.cell(&row, &["/customer"]), Cell::plain("trial"));
        assert_eq!(screen.cell(&row, &["/isolation/state"]), Cell::state("断网", "cut"));
        assert_eq!(screen.cell(&row, &["/reason"]), Cell::plain("cut"));
        assert_eq!(screen.block("isolation", &row["isolation"]), "状态=断网");
    }

    #[test]
    fn text_of_another_machine_cannot_move_the_cursor() {
        let row = json!({"name": "a\u{1b}[2Jb\u{9b}c\nd", "of": {"\u{1b}": ["\u{7}"]}});
        assert_eq!(cell(&row, &["/name"]), "a\\u{1b}[2Jb\\u{9b}c\\nd");
        assert_eq!(screen(Lang::En).block("of", &row["of"]), "\\u{1b}=\\u{7}");
    }

    #[test]
    fn a_list_is_the_array_or_the_one_array_inside() {
        assert_eq!(rows(&json!([1, 2])).len(), 2);
        assert_eq!(rows(&json!({"next": null, "items": [1]})).len(), 1);
        assert!(rows(&json!("text")).is_empty());
    }
}
