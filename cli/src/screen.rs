//! What the reader sees: answers on stdout, as tables for people or JSON for scripts; progress and
//! complaints on stderr. A full stdout is a failure, and no text of another machine can move the
//! terminal's cursor.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;

use crate::failure::Failure;

/// How answers are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people.
    #[default]
    Table,
    /// The API's own answer, for scripts.
    Json,
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
}

impl Screen {
    /// A screen of this format.
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// How answers are shown.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Shows one thing: its members in two columns.
    pub(crate) fn one(&self, value: &Value) -> Result<(), Failure> {
        match (self.format, value) {
            (Format::Json, _) => self.json(value),
            (Format::Table, Value::Object(members)) => {
                let mut table = blank();
                for (name, member) in members {
                    table.add_row([name.replace('_', " "), block(member)]);
                }
                self.text(&table.trim_fmt())
            }
            (Format::Table, Value::Null) => self.text("done"),
            (Format::Table, other) => self.text(&block(other)),
        }
    }

    /// Shows many things of a kind, one per line.
    pub(crate) fn many(&self, value: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.format == Format::Json {
            return self.json(value);
        }
        let rows = rows(value);
        if rows.is_empty() {
            return self.text("none");
        }
        let mut table = blank();
        table.set_header(columns.iter().map(|column| column.title));
        for row in rows {
            table.add_row(columns.iter().map(|column| cell(row, column.pointers)));
        }
        self.text(&table.trim_fmt())
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
        self.text(&format!("{value:#}"))
    }

    /// Writes text and a line's end, and makes sure that it arrived.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Stdout)
    }

    /// Tells people how far something is; there is nobody to tell when stderr is gone.
    pub(crate) fn tell(&self, text: impl Display) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Says on stderr why the run failed.
    pub(crate) fn complain(&self, failure: &Failure) {
        match self.format {
            Format::Table => self.tell(format!("tenurectl: {}", harmless(&failure.to_string()))),
            Format::Json => self.tell(failure.as_json()),
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

/// The value at the first pointer that exists, for people; of a list of things their number.
pub(crate) fn cell(row: &Value, pointers: &[&str]) -> String {
    let found = pointers.iter().find_map(|at| row.pointer(at).filter(|value| !value.is_null()));
    match found {
        None => "-".to_owned(),
        Some(Value::Array(items)) if items.iter().any(Value::is_object) => items.len().to_string(),
        Some(value) => inline(value),
    }
}

fn blank() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => harmless(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| format!("{}={}", harmless(name), inline(member)))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Like [`inline`], but a list of things takes a line for each.
fn block(value: &Value) -> String {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().map(inline).collect::<Vec<_>>().join("\n")
        }
        other => inline(other),
    }
}

/// Text from elsewhere without control characters (escape sequences among them).
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_takes_the_first_pointer_that_exists_and_a_dash_for_none() {
        let row = json!({"system": {"name": "portal"}, "wipe": null, "open": true});
        assert_eq!(cell(&row, &["/system/name", "/system"]), "portal");
        assert_eq!(cell(&row, &["/wipe"]), "-");
        assert_eq!(cell(&row, &["/absent", "/open"]), "yes");
        assert_eq!(cell(&json!({"tries": [{}, {}]}), &["/tries"]), "2");
    }

    #[test]
    fn text_of_another_machine_cannot_move_the_cursor() {
        let row = json!({"name": "a\u{1b}[2Jb\u{9b}c\nd"});
        assert_eq!(cell(&row, &["/name"]), "a [2Jb c d");
    }

    #[test]
    fn a_list_is_the_array_or_the_one_array_inside() {
        assert_eq!(rows(&json!([1, 2])).len(), 2);
        assert_eq!(rows(&json!({"next": null, "items": [1]})).len(), 1);
        assert!(rows(&json!("text")).is_empty());
    }
}
