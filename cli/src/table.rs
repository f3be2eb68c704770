//! Tables: columns as wide as a terminal shows them (Chinese letters take two places), and colours
//! for states.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

/// Space between columns.
const GAP: usize = 2;

/// One cell: its text, which may have several lines, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text as it is. Text of another machine has been made harmless before.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    /// The title of a column or row.
    pub(crate) fn title(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new().bold() }
    }

    /// A state: its text, and the colour of the API's word for it.
    pub(crate) fn state(text: impl Into<String>, word: &str) -> Self {
        Self { text: text.into(), style: style_of(word) }
    }

    fn width(&self) -> usize {
        self.text.lines().map(|line| line.width()).max().unwrap_or(0)
    }
}

/// Words of the API for what has gone wrong or stands still.
const BAD: &[&str] = &[
    "blocked",
    "breached",
    "configuration-failed",
    "cut",
    "disabled",
    "failed",
    "overdue",
    "phone",
    "refused",
    "rejected",
    "unknown",
    "unreachable",
    "wipe-failed",
];

/// Words of the API for what is under way, or waits for somebody.
const UNDER_WAY: &[&str] = &[
    "armed",
    "configuring",
    "correction-requested",
    "cutting",
    "draining",
    "due",
    "intent",
    "journalled",
    "offboarding-approved",
    "offboarding-requested",
    "open",
    "rectifying",
    "not-notified",
    "restoring",
    "second-contacts",
    "started",
    "submitted",
    "trial-expired",
    "trying",
    "under-review",
    "waits",
    "wiping",
];

/// Words of the API for what is as it should be.
const GOOD: &[&str] = &[
    "admitted",
    "connected",
    "counts",
    "delivered",
    "discharged",
    "done",
    "enabled",
    "enrolled",
    "met",
    "online",
    "running",
    "trial",
    "wipe-verified",
];

fn style_of(word: &str) -> Style {
    let colour = if BAD.contains(&word) {
        AnsiColor::Red
    } else if UNDER_WAY.contains(&word) {
        AnsiColor::Yellow
    } else if GOOD.contains(&word) {
        AnsiColor::Green
    } else {
        return Style::new();
    };
    colour.on_default()
}

/// Lays rows out, one line or more each, without blanks at their ends.
pub(crate) fn lay_out(rows: &[Vec<Cell>], colour: bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(Cell::width).max().unwrap_or(0))
        .collect();
    let mut lines = Vec::new();
    for row in rows {
        let height = row.iter().map(|cell| cell.text.lines().count()).max().unwrap_or(0).max(1);
        lines.extend((0..height).map(|line| lay_out_line(row, &widths, line, colour)));
    }
    lines.join("\n")
}

/// Text with blanks after it, up to a width.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

fn lay_out_line(row: &[Cell], widths: &[usize], line: usize, colour: bool) -> String {
    let mut laid = String::new();
    let mut owed = 0;
    for (cell, width) in row.iter().zip(widths) {
        let text = cell.text.lines().nth(line).unwrap_or_default();
        if !text.is_empty() {
            laid.extend(std::iter::repeat_n(' ', owed));
            owed = 0;
            if colour && cell.style != Style::new() {
                let _ = write!(laid, "{}{text}{}", cell.style.render(), cell.style.render_reset());
            } else {
                laid.push_str(text);
            }
        }
        owed += width.saturating_sub(text.width()) + GAP;
    }
    laid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec![Cell::title("客户"), Cell::title("PHASE"), Cell::title("END")],
            vec![Cell::plain("南昌市数据局"), Cell::state("试运行", "trial"), Cell::plain("-")],
            vec![Cell::plain("bureau"), Cell::state("closed", "closed"), Cell::plain("a\nb")],
        ]
    }

    #[test]
    fn chinese_letters_take_two_places() {
        let wanted = "\
客户          PHASE   END
南昌市数据局  试运行  -
bureau        closed  a
                      b";
        assert_eq!(lay_out(&rows(), false), wanted);
        for line in wanted.lines().skip(1) {
            assert_eq!(line.trim_end().width(), 23);
        }
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = lay_out(&rows(), true);
        assert!(coloured.contains("\u{1b}[32m试运行\u{1b}[0m"), "{coloured:?}");
        assert!(coloured.contains("\u{1b}[1mPHASE\u{1b}[0m"), "{coloured:?}");
        let without = ["\u{1b}[32m", "\u{1b}[1m", "\u{1b}[0m"]
            .iter()
            .fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(without, lay_out(&rows(), false));
    }

    #[test]
    fn no_word_has_two_colours() {
        let mut all: Vec<_> = [BAD, UNDER_WAY, GOOD].concat();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
