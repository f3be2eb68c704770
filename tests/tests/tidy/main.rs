//! The house rules as tests. [`size`] keeps files, functions and lines short, [`layers`] says who
//! may import whom and what a pure core may touch, [`words`] watches over names and documentation,
//! [`codemap`] over the README's map of the code.
//!
//! Each rule is a function from a file to what it violates, shown as `path:line: what`; each has a
//! bad sample beside it, so that a rule that cannot fail is noticed.

mod codemap;
mod layers;
mod size;
mod source;
mod words;

use std::path::{Path, PathBuf};

use source::{Source, Violation};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file that is tracked or about to be, with its text; binary files are left out.
fn repository() -> Vec<Source> {
    #[expect(clippy::disallowed_methods, reason = "asks git for the list of files")]
    let mut git = std::process::Command::new("git");
    let listed = git
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(root())
        .output()
        .expect("git is installed");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let mut sources: Vec<Source> = String::from_utf8(listed.stdout)
        .expect("paths are UTF-8")
        .split_terminator('\0')
        .filter_map(|path| {
            Some(Source::new(path, &std::fs::read_to_string(root().join(path)).ok()?))
        })
        .collect();
    let test_only: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        source.test_only = test_only.contains(&source.path);
    }
    assert!(sources.len() > 20, "git lists only {} files", sources.len());
    sources
}

/// Applies a rule to the files that it is about, and fails with all that it found.
fn hold(about: impl Fn(&Source) -> bool, rule: impl Fn(&Source) -> Vec<Violation>) {
    let sources = repository();
    let found: Vec<String> = sources
        .iter()
        .filter(|source| about(source))
        .flat_map(|source| rule(source).into_iter().map(|violation| violation.show(source)))
        .collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn files_have_at_most_400_lines_of_code() {
    hold(Source::is_rust, size::file);
}

#[test]
fn functions_have_at_most_70_lines() {
    hold(Source::is_rust, size::functions);
}

#[test]
fn lines_have_at_most_100_columns() {
    hold(Source::is_rust, size::columns);
}

#[test]
fn crates_depend_on_one_another_as_the_overview_says() {
    hold(Source::is_manifest, layers::crates);
}

#[test]
fn core_imports_nothing_but_the_protocol_itself_and_pure_crates() {
    hold(Source::is_core, layers::core_imports);
}

#[test]
fn core_touches_no_clock_no_world_and_never_panics() {
    hold(Source::is_core, layers::core_purity);
}

#[test]
fn shells_never_import_one_another() {
    hold(Source::is_rust, layers::shells);
}

#[test]
fn nothing_is_named_by_a_word_that_says_nothing() {
    hold(Source::is_rust, words::names);
}

#[test]
fn every_module_says_what_it_is() {
    hold(|source| source.is_rust() && !source.is_test_sibling(), words::module_docs);
}

#[test]
fn the_codemap_names_what_is_there() {
    let sources = repository();
    let readme = sources.iter().find(|source| source.path == "README.md").expect("a README");
    let found: Vec<String> =
        codemap::rows(readme, &sources).iter().map(|violation| violation.show(readme)).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn nothing_speaks_of_the_workplace() {
    hold(Source::is_ours, words::workplace);
}
