//! Completions and manual pages, as the programs take them that they are made for.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that runs shells and readers of pages; a panic fails it"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

fn tenurectl(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tenurectl")).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a program can be run here; says so if not.
fn is_installed(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !found {
        eprintln!("SKIPPED: {program} is not installed (apt-get install {package})");
    }
    found
}

/// Runs `program` on a script that prints, and returns what it printed.
fn printed(program: &str, arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers after these words, the last of which may be half typed.
fn offered_by_bash(dir: &Path, words: &[&str]) -> Vec<String> {
    let typed = words.join("' '");
    let (at, line) = (words.len() - 1, words.join(" "));
    let script = format!(
        "source ./tenurectl.bash\n\
         COMP_WORDS=('{typed}'); COMP_CWORD={at}; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}\n\
         # The function that bash itself calls for this command.\n\
         function=$(complete -p tenurectl | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         word=${{COMP_WORDS[$COMP_CWORD]}}; before=${{COMP_WORDS[$COMP_CWORD-1]}}\n\
         \"$function\" tenurectl \"$word\" \"$before\" 2>/dev/null\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    );
    fs::write(dir.join("script"), script).unwrap();
    printed("bash", &["script"], dir).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_nouns_verbs_options_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("tenurectl.bash"), tenurectl(&["completions", "bash"])).unwrap();
    printed("bash", &["-n", "tenurectl.bash"], dir);
    assert_eq!(offered_by_bash(dir, &["tenurectl", "calen"]), ["calendar"]);
    let verbs = offered_by_bash(dir, &["tenurectl", "deadline", ""]);
    for verb in ["list", "explain", "preview", "sign"] {
        assert!(verbs.iter().any(|offered| offered == verb), "{verb} is not in {verbs:?}");
    }
    assert_eq!(offered_by_bash(dir, &["tenurectl", "review", "approve", "--opi"]), ["--opinion"]);
    assert_eq!(offered_by_bash(dir, &["tenurectl", "--output", "js"]), ["json"]);
    assert_eq!(offered_by_bash(dir, &["tenurectl", "completions", "f"]), ["fish"]);
    let roles = offered_by_bash(dir, &["tenurectl", "token", "create", "rita", "--role", "rev"]);
    assert_eq!(roles, ["reviewer"]);
    fs::write(dir.join("bundle.tar"), "").unwrap();
    let files = offered_by_bash(dir, &["tenurectl", "verify", "x.tar", "--anchors", "bund"]);
    assert_eq!(files, ["bundle.tar"]);
}

#[test]
fn zsh_reads_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("_tenurectl"), tenurectl(&["completions", "zsh"])).unwrap();
    if is_installed("zsh", "zsh") {
        printed("zsh", &["-n", "_tenurectl"], dir.path());
    }
}

#[test]
fn fish_completes_verbs() {
    let dir = tempfile::tempdir().unwrap();
    let script = tenurectl(&["completions", "fish"]);
    fs::write(dir.path().join("tenurectl.fish"), script).unwrap();
    if is_installed("fish", "fish") {
        let ask = "source tenurectl.fish; complete -C 'tenurectl calendar '";
        let offered = printed("fish", &["--no-config", "-c", ask], dir.path());
        for verb in ["show", "import", "enact"] {
            assert!(offered.lines().any(|line| line.starts_with(verb)), "{verb}: {offered}");
        }
    }
}

fn pages(dir: &Path) -> Vec<String> {
    tenurectl(&["man", &dir.to_string_lossy()]);
    let mut pages: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|page| page.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    pages.sort();
    pages
}

#[test]
fn every_verb_has_a_page_and_the_first_one_tells_of_settings_and_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let pages = pages(&dir.path().join("man1"));
    for page in ["tenurectl.1", "tenurectl-deadline.1", "tenurectl-deadline-explain.1"] {
        assert!(pages.iter().any(|known| known == page), "{page} is not in {pages:?}");
    }
    let text = fs::read_to_string(dir.path().join("man1/tenurectl.1")).unwrap();
    for part in [".SH EXIT STATUS", ".SH SETTINGS", ".SH ENVIRONMENT", "token_file"] {
        assert!(text.contains(part), "{part}");
    }
    let verb = fs::read_to_string(dir.path().join("man1/tenurectl-cut.1")).unwrap();
    assert!(verb.contains("the customer reads this in the notice"), "{verb}");
    assert!(verb.contains(".SH EXIT STATUS") && !verb.contains(".SH SUBCOMMANDS"), "{verb}");
}

#[test]
fn mandoc_finds_nothing_wrong_in_the_pages() {
    if !is_installed("mandoc", "mandoc") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pages = pages(dir.path());
    let mandoc = Command::new("mandoc")
        .args(["-Tlint", "-Wwarning"])
        .args(&pages)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&mandoc.stdout);
    // Pages have no date, so that the same version writes the same pages.
    let wrong: Vec<_> = said.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(said.lines().count(), pages.len(), "one remark on the date each");
}

#[test]
fn groff_sets_the_pages_without_a_warning() {
    if !is_installed("groff", "groff-base") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for page in pages(dir.path()) {
        let set = printed("groff", &["-ww", "-man", "-Kutf8", "-Tutf8", &page], dir.path());
        assert!(set.contains("The evidence does not hold."), "{page}: {set}");
    }
}
