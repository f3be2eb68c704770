//! Names, documentation, and words that do not belong into a repository.

use crate::source::{Source, Violation, code, line_of, words};

/// Words that say nothing about the thing that they name.
const EMPTY_WORDS: &[&str] = &[
    "manager", "handler", "service", "util", "utils", "common", "helper", "helpers", "node",
    "task", "job",
];

/// Phrases of the place where this was written. In two parts each, so that they do not stand here.
const PHRASES: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("previous ses", "sion"),
    ("earlier ses", "sion"),
    ("work", "tree"),
    ("plan", ".md"),
    ("crates", ".io"),
    ("pypi", ".org"),
    ("npmjs", ".org"),
    ("deb.debian", ".org"),
    ("lang", "uage model"),
];

/// Names of types, traits and modules, and of the file.
pub(crate) fn names(source: &Source) -> Vec<Violation> {
    let code = code(&source.text);
    let mut named = Vec::new();
    for keyword in ["struct", "enum", "union", "trait", "type", "mod"] {
        for (at, rest) in words(&code, keyword) {
            if keyword == "type" && is_given_by_a_trait(&code, at, rest) {
                continue;
            }
            let name = rest.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next();
            named.extend(name.map(|name| (line_of(&code, at), name.to_owned())));
        }
    }
    named.extend(source.module().into_iter().map(|part| (1, part.replace('-', "_"))));
    let empty = |(line, name): (usize, String)| {
        let word = parts(&name).into_iter().find(|part| EMPTY_WORDS.contains(&part.as_str()))?;
        Some(Violation::new(line, format!("{name}: `{word}` says nothing; name what it is")))
    };
    named.into_iter().filter_map(empty).collect()
}

/// An associated type of an impl, indented and defined: its name is its trait's.
fn is_given_by_a_trait(code: &str, at: usize, rest: &str) -> bool {
    let line = code[..at].rsplit('\n').next().unwrap_or_default();
    let indented = !line.is_empty() && line.trim().is_empty();
    indented && rest.split([';', '{']).next().is_some_and(|head| head.contains('='))
}

/// The `//!` at the beginning; inner attributes may stand before it.
pub(crate) fn module_docs(source: &Source) -> Vec<Violation> {
    let before_items = source.text.lines().take_while(|line| !line.starts_with("use "));
    if before_items.take(10).any(|line| line.starts_with("//! ")) {
        Vec::new()
    } else {
        vec![Violation::new(1, "the module does not begin with `//!` and what it is")]
    }
}

/// Phrases and numbers that only those who wrote this could understand.
pub(crate) fn workplace(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let numbers = [".rs", ".md", ".toml", ".sh", ".py", ".sql"];
    let numbers = numbers.iter().any(|end| source.path.ends_with(end));
    for (at, line) in source.text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (head, tail) in PHRASES {
            let phrase = format!("{head}{tail}");
            let own_path = |at: usize| lower[..at].ends_with(|c: char| c.is_alphanumeric());
            if lower.match_indices(&phrase).any(|(at, _)| !phrase.starts_with('/') || !own_path(at))
            {
                found.push(Violation::new(at + 1, format!("{phrase:?} does not belong here")));
            }
        }
        if numbers && names_an_issue(&lower) {
            found.push(Violation::new(at + 1, "an issue number does not belong here"));
        }
    }
    found
}

/// A hash or the word, then a number; not `{:#06x}`, `r#"`, nor a fragment of a URL.
fn names_an_issue(line: &str) -> bool {
    let number = |rest: &str| {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        (1..=5).contains(&digits) && !rest[digits..].starts_with(|c: char| c.is_alphanumeric())
    };
    let hash = line.match_indices('#').any(|(at, _)| {
        let free = line[..at].is_empty() || line[..at].ends_with([' ', '(', '[']);
        free && number(&line[at + 1..])
    });
    hash || line.match_indices("issue ").any(|(at, _)| number(&line[at + 6..]))
}

/// The words of a name, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            parts.push(String::new());
        }
        if let (true, Some(part)) = (letter != '_', parts.last_mut()) {
            part.extend(letter.to_lowercase());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_says_nothing_is_found_in_types_modules_and_files() {
        let text = "struct TapManager;\nenum State { Service }\nmod util;\nstruct Serviceable;\n";
        let found = names(&Source::new("agent/src/core/a.rs", text));
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(names(&Source::new("agent/src/host/helpers.rs", "")).len(), 1);
        let theirs = "impl Accept for Door {\n    type Service = Door;\n}\n";
        assert_eq!(names(&Source::new("a.rs", theirs)), []);
        let ours = "trait Accept {\n    type Service;\n}\ntype Service = Door;\n";
        assert_eq!(names(&Source::new("a.rs", ours)).len(), 2);
    }

    #[test]
    fn a_module_without_documentation_is_found() {
        assert_eq!(module_docs(&Source::new("a.rs", "use b;\n")).len(), 1);
        assert_eq!(module_docs(&Source::new("a.rs", "//! B.\n")), []);
    }

    #[test]
    fn words_of_the_workplace_are_found_and_their_innocent_neighbours_are_not() {
        let found = |line: &str| !workplace(&Source::new("a.rs", line)).is_empty();
        let path = format!("{}{}", "/wo", "rk/main");
        for bad in
            ["see \x2312", "(\x237)", "issue\x2012 says", "an earlier\x20session", path.as_str()]
        {
            assert!(found(bad), "{bad}");
        }
        for good in [
            "{:#06x}",
            "r#\"12\"#",
            "https://a/b#12",
            "the session ends when its certificate does",
            "target/work/a",
            "#[test]",
        ] {
            assert!(!found(good), "{good}");
        }
    }
}
