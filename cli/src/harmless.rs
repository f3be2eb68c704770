//! Text of another machine, made harmless before it reaches a terminal: what could move the cursor,
//! change colours, hide letters or turn their order round is written out as an escape.

/// Text for people: escapes as in Rust, such as `\u{1b}` and `\n`.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, letter| {
        if is_harmful(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
        shown
    })
}

/// JSON with the same letters as JSON's own escapes: its meaning is unchanged, because such letters
/// stand inside of strings alone. Line feeds are those of the layout.
pub(crate) fn harmless_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut shown, letter| {
        if is_harmful(letter) && letter != '\n' {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(letter);
        }
        shown
    })
}

/// Control characters, and what formats text unseen: marks of direction, joiners, separators of
/// lines, tags.
fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_text_round_is_written_out() {
        for (text, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\u{9b}c\nd\te\r", "a\\u{9b}c\\nd\\te\\r"),
            ("exe.\u{202e}fdp", "exe.\\u{202e}fdp"),
            ("\u{feff}\u{200b}\u{e0041}\u{7f}", "\\u{feff}\\u{200b}\\u{e0041}\\u{7f}"),
            ("电子政务云 – é 👍", "电子政务云 – é 👍"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = json!({"a\u{9b}": ["\u{1b}[1m", "\u{202e}", "\u{e0041}", "市\n"]});
        for text in [format!("{value:#}"), value.to_string()] {
            let shown = harmless_json(&text);
            assert!(shown.chars().all(|letter| letter == '\n' || !is_harmful(letter)), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
