//! The README's codemap: what it names is there, and what is there it names.

use crate::source::{Source, Violation};

/// The README's section.
const BEGINS: &str = "## Codemap";
/// Directories whose modules it names one by one, in the row of the directory.
const NAMED: &[&str] = &["controller/src/core/", "controller/src/engine*", "controller/src/http/"];
/// Directories of which it names each module somewhere among the paths of its rows.
const COVERED: &[&str] = &["protocol/src/", "controller/src/", "agent/src/"];
/// Files of a crate that no reader needs to be told of.
const PLAIN: &[&str] = &["lib", "main", "mod"];

/// A row: its line, the paths that it is about, and every name in it.
struct Row {
    line: usize,
    paths: Vec<String>,
    names: Vec<String>,
}

/// What the codemap has wrong.
pub(crate) fn rows(readme: &Source, sources: &[Source]) -> Vec<Violation> {
    let rows = read(&readme.text);
    let line = rows.first().map_or(1, |row| row.line);
    let mut found = Vec::new();
    if rows.is_empty() {
        found.push(Violation::new(1, "there is no codemap"));
    }
    for row in &rows {
        for path in &row.paths {
            if !sources.iter().any(|source| lies_at(&source.path, path)) {
                found.push(Violation::new(row.line, format!("{path} is not there")));
            }
        }
        for name in row.names.iter().filter(|name| !sources.iter().any(|one| has(one, name))) {
            found.push(Violation::new(row.line, format!("there is no {name}")));
        }
    }
    for directory in NAMED {
        let row = rows.iter().find(|row| row.paths.iter().any(|path| path == directory));
        let names = row.map_or(&[][..], |row| &row.names);
        let inside = format!("{}/", directory.trim_end_matches(['*', '/']));
        for module in modules(sources, &inside) {
            if !names.iter().any(|name| name.trim_end_matches('/') == module) {
                found.push(Violation::new(line, format!("the row of {directory} lacks {module}")));
            }
        }
    }
    for directory in COVERED {
        for module in modules(sources, directory) {
            let at = format!("{directory}{module}");
            let covers = |path: &String| {
                let path = path.trim_end_matches("/").trim_end_matches(".rs");
                path.trim_end_matches('*') == at || path.starts_with(&format!("{at}/"))
            };
            let names = |row: &Row| {
                let name = |name: &String| name.trim_end_matches('/') == module;
                row.paths.iter().any(|path| path == directory) && row.names.iter().any(name)
            };
            if !rows.iter().any(|row| row.paths.iter().any(covers) || names(row)) {
                found.push(Violation::new(line, format!("the codemap lacks {at}")));
            }
        }
    }
    found
}

fn read(text: &str) -> Vec<Row> {
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != BEGINS).skip(1);
    let rows = lines.take_while(|(_, line)| !line.starts_with("## "));
    rows.filter(|(_, line)| line.starts_with("| `"))
        .map(|(at, line)| {
            let (first, second) = line[1..].split_once('|').unwrap_or((line, ""));
            let paths = quoted(first).flat_map(expand).collect();
            Row { line: at + 1, paths, names: quoted(second).map(str::to_owned).collect() }
        })
        .collect()
}

/// What stands between back-ticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Expands `a/{b,c}.rs` to its paths.
fn expand(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?))) {
        Some((head, (names, tail))) => {
            names.split(',').map(|name| format!("{head}{name}{tail}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

/// Whether a file is the one at a path of the codemap, or lies under it.
fn lies_at(file: &str, path: &str) -> bool {
    match path.strip_suffix('*') {
        Some(begins) => file.starts_with(begins),
        None if path.ends_with('/') => file.starts_with(path),
        None => file == path || file.starts_with(&format!("{path}/")),
    }
}

/// Whether a file's path has this name, with or without what it ends with.
fn has(source: &Source, name: &str) -> bool {
    let path = format!("/{}", source.path);
    let stem = path.rsplit_once('.').map_or(path.as_str(), |(stem, _)| stem);
    let inner = format!("/{}", name.trim_end_matches('/'));
    path.ends_with(&inner) || stem.ends_with(&inner) || path.contains(&format!("{inner}/"))
}

/// The modules that lie directly in a directory, tests left out.
fn modules(sources: &[Source], directory: &str) -> Vec<String> {
    let mut found: Vec<String> = sources
        .iter()
        .filter(|source| source.is_rust() && !source.is_test_sibling())
        .filter_map(|source| {
            let inside = source.path.strip_prefix(directory)?;
            let name = inside.split('/').next().unwrap_or(inside);
            let name = name.strip_suffix(".rs").unwrap_or(name);
            (!PLAIN.contains(&name)).then(|| name.to_owned())
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_path_that_is_not_there_and_a_module_that_is_not_named_are_found() {
    let source = |path: &str| Source::new(path, "");
    let sources = [
        source("controller/src/core/tenant.rs"),
        source("controller/src/core/rules.rs"),
        source("agent/src/join.rs"),
        source("agent/src/sign.rs"),
    ];
    let map = "## Codemap\n\n| where | what |\n|---|---|\n\
        | `controller/src/core/` | `tenant`, `phantom` |\n\
        | `agent/src/{join,gone}.rs` | joining |\n\n## Next\n| `no/` | |\n";
    let found = rows(&Source::new("README.md", map), &sources);
    let shown: Vec<String> = found.iter().map(|one| format!("{} {}", one.line, one.what)).collect();
    assert_eq!(
        shown,
        [
            "5 there is no phantom",
            "6 agent/src/gone.rs is not there",
            "5 the row of controller/src/core/ lacks rules",
            "5 the codemap lacks agent/src/sign",
        ]
    );
}
