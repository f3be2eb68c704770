//! A file as the rules see it: its text, its code without comments and strings, its imports.

/// A file of the repository.
pub(crate) struct Source {
    /// Path from the repository's root.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Whether another file takes it in for tests alone.
    pub(crate) test_only: bool,
}

/// What breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Line, from 1.
    pub(crate) line: usize,
    /// What is wrong there.
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }

    pub(crate) fn show(&self, source: &Source) -> String {
        format!("{}:{}: {}", source.path, self.line, self.what)
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), test_only: false }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_manifest(&self) -> bool {
        self.path.ends_with("Cargo.toml")
    }

    /// A sibling file that holds the tests of another file.
    pub(crate) fn is_test_sibling(&self) -> bool {
        self.test_only || self.path.ends_with("_tests.rs") || self.path.ends_with("/tests.rs")
    }

    /// Paths of the files that this one takes in for tests alone (`#[cfg(test)] mod sample;`).
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let directory = self.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let owns = ["/mod", "/lib", "/main"].iter().any(|name| stem.ends_with(name));
        let children = if owns { directory } else { stem };
        let after = self.text.split("#[cfg(test)]").skip(1);
        after
            .filter_map(|after| {
                let (_, rest) = after.split_once("mod ")?;
                let (name, _) = rest.split_once(';')?;
                let declared = name.chars().all(|c| c.is_alphanumeric() || c == '_');
                declared.then(|| format!("{children}/{name}.rs"))
            })
            .collect()
    }

    /// Code of a pure core, without its tests.
    pub(crate) fn is_core(&self) -> bool {
        self.is_rust()
            && (self.path.contains("/src/core/") || self.path.starts_with("protocol/src/"))
            && !self.is_test_sibling()
    }

    /// Text that people of this repository wrote.
    pub(crate) fn is_ours(&self) -> bool {
        !["LICENSE", "Cargo.lock"].contains(&self.path.as_str())
    }

    /// The text before `#[cfg(test)]`.
    pub(crate) fn without_tests(&self) -> &str {
        let end = self.text.lines().scan(0, |at, line| {
            let start = *at;
            *at += line.len() + 1;
            Some((start, line))
        });
        let mut end = end.filter(|(_, line)| line.trim_start().starts_with("#[cfg(test)]"));
        end.next().map_or(self.text.as_str(), |(start, _)| &self.text[..start])
    }

    /// Module path of the file in its crate, such as `["host", "nft"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inside = self.path.split_once("/src/").map_or("", |(_, inside)| inside);
        let inside = inside.strip_suffix(".rs").unwrap_or(inside);
        let mut path: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            path.pop();
        }
        path
    }

    /// Every path that the code outside tests imports or names from `crate`, `self` or `super`,
    /// with its line; the latter two made absolute, so that each begins with a crate or `crate`.
    pub(crate) fn imports(&self) -> Vec<(usize, Vec<String>)> {
        let code = code(self.without_tests());
        let mut found = Vec::new();
        for (at, _) in words(&code, "use") {
            if let Some(end) = code[at..].find(';') {
                let tree: String = code[at + 3..at + end].split_whitespace().collect();
                let mut paths = Vec::new();
                expand(&tree, &[], &mut paths);
                found.extend(paths.into_iter().map(|path| (line_of(&code, at), path)));
            }
        }
        for start in ["crate", "super"] {
            for (at, rest) in words(&code, start) {
                if rest.starts_with("::") && !rest.starts_with("::{") {
                    let path =
                        code[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                    let path = path.take(1).flat_map(|path| path.split("::"));
                    found.push((line_of(&code, at), path.map(str::to_owned).collect()));
                }
            }
        }
        found.into_iter().map(|(line, path)| (line, self.absolute(path))).collect()
    }

    fn absolute(&self, path: Vec<String>) -> Vec<String> {
        let ups = path.iter().take_while(|part| *part == "super" || *part == "self").count();
        let supers = path.iter().take(ups).filter(|part| *part == "super").count();
        if ups == 0 {
            return path;
        }
        let mut module = self.module();
        module.truncate(module.len().saturating_sub(supers));
        let mut absolute = vec!["crate".to_owned()];
        absolute.extend(module);
        absolute.extend(path.into_iter().skip(ups));
        absolute
    }
}

/// Expands `a::{b, c::d}` to its paths.
fn expand(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let (head, group) = match tree.split_once('{') {
        Some((head, group)) => (head, Some(group.strip_suffix('}').unwrap_or(group))),
        None => (tree, None),
    };
    let mut path = before.to_vec();
    path.extend(head.split("::").filter(|part| !part.is_empty()).map(str::to_owned));
    let Some(group) = group else {
        paths.push(path);
        return;
    };
    let mut depth = 0;
    let mut start = 0;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&group[start..at], &path, paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < group.len() {
        expand(&group[start..], &path, paths);
    }
}

/// Line of a byte offset, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where `word` stands as a whole word, with what follows it.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word).filter_map(move |(at, _)| {
        let rest = &code[at + word.len()..];
        let starts = !code[..at].ends_with(part);
        (starts && !rest.starts_with(part)).then_some((at, rest))
    })
}

/// The code of Rust text: comments become spaces, the letters of strings `_`; lines stay.
pub(crate) fn code(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(letter) = rest.chars().next() {
        let (length, fill) = token(rest, code.chars().last());
        let (part, after) = rest.split_at(length);
        match fill {
            None => code.push(letter),
            Some(fill) => code.extend(part.chars().map(|c| if c == '\n' { c } else { fill })),
        }
        rest = after;
    }
    code
}

/// Length of the comment or literal that `rest` begins with and what takes the place of its
/// letters, or of one letter of code.
fn token(rest: &str, before: Option<char>) -> (usize, Option<char>) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Some(' '));
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), Some(' '));
    }
    if rest.starts_with('"') {
        return (quoted(rest, '"').unwrap_or(rest.len()), Some('_'));
    }
    if rest.starts_with('\'') {
        // A lifetime has no closing quote right after its first letter.
        let mut letters = rest.chars().skip(1);
        let escaped = letters.next() == Some('\\');
        if escaped || letters.next() == Some('\'') {
            return (quoted(rest, '\'').unwrap_or(first), Some('_'));
        }
        return (first, None);
    }
    let word_before = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with('r') && !word_before || rest.starts_with('r') && before == Some('b') {
        let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            let length = rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len());
            return (length, Some('_'));
        }
    }
    (first, None)
}

/// Length of a literal with its quotes.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[test]
fn comments_and_strings_are_no_code_and_lines_stay() {
    let text = "a /* b\nc */ d // e\n\"f\\\"g\" 'h' '\\'' <'i> r#\"j\"k\"# l";
    let code = code(text);
    assert_eq!(code.lines().count(), text.lines().count());
    let kept: String = code.chars().filter(char::is_ascii_alphabetic).collect();
    assert_eq!(kept, "adil");
}

#[test]
fn a_module_that_is_declared_for_tests_alone_is_known() {
    let text = "#[cfg(test)]\npub(crate) mod sample;\nmod plan;\n#[cfg(test)]\nmod tests {}";
    let paths = |path: &str| Source::new(path, text).test_modules();
    assert_eq!(paths("agent/src/core/mod.rs"), ["agent/src/core/sample.rs"]);
    assert_eq!(paths("agent/src/core/wipe.rs"), ["agent/src/core/wipe/sample.rs"]);
}

#[test]
fn imports_are_expanded_and_made_absolute() {
    let text = "use std::{fmt, a::{b, c}};\nuse super::nft;\nfn f() { crate::x::y(); }\n\
        #[cfg(test)]\nmod tests { use z; }";
    let source = Source::new("agent/src/host/tap.rs", text);
    let shown: Vec<String> =
        source.imports().iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
    let wanted = ["1 std::fmt", "1 std::a::b", "1 std::a::c", "2 crate::host::nft"];
    assert_eq!(shown[..4], wanted);
    assert!(shown.contains(&"3 crate::x::y".to_owned()), "{shown:?}");
    assert!(!shown.iter().any(|path| path.ends_with(" z")));
}
