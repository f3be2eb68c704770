//! Short files, functions and lines.

use crate::source::{Source, Violation, code, line_of, words};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;
const COLUMNS: usize = 100;

/// Lines of code of a file: without its tests, or of its tests if it has nothing else.
pub(crate) fn file(source: &Source) -> Vec<Violation> {
    let counted = if source.is_test_sibling() { &source.text } else { source.without_tests() };
    let lines = lines_of_code(&code(counted));
    if lines <= FILE_LINES {
        return Vec::new();
    }
    let what = format!("{lines} lines of code, {FILE_LINES} are allowed: split it by its subjects");
    vec![Violation::new(1, what)]
}

/// Lines of code of each function's body.
pub(crate) fn functions(source: &Source) -> Vec<Violation> {
    let code = code(&source.text);
    let mut found = Vec::new();
    for (at, rest) in words(&code, "fn") {
        let name: String =
            rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(body) = body(&code[at..]) else { continue };
        let lines = lines_of_code(body);
        if !name.is_empty() && lines > FUNCTION_LINES {
            let what = format!("fn {name} has {lines} lines, {FUNCTION_LINES} are allowed");
            found.push(Violation::new(line_of(&code, at), what));
        }
    }
    found
}

/// Columns of each line.
pub(crate) fn columns(source: &Source) -> Vec<Violation> {
    let long = |(_, line): &(usize, &str)| line.chars().count() > COLUMNS;
    source
        .text
        .lines()
        .enumerate()
        .filter(long)
        .map(|(at, line)| {
            let what = format!("{} columns, {COLUMNS} are allowed", line.chars().count());
            Violation::new(at + 1, what)
        })
        .collect()
}

fn lines_of_code(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// What stands between the braces of the function that `code` begins with; none without a body.
fn body(code: &str) -> Option<&str> {
    let mut depth = 0usize;
    let mut start = None;
    for (at, letter) in code.char_indices() {
        match (letter, start) {
            ('(' | '[', None) => depth += 1,
            (')' | ']', None) => depth = depth.saturating_sub(1),
            (';', None) if depth == 0 => return None,
            ('{', None) if depth == 0 => (start, depth) = (Some(at + 1), 1),
            ('{', Some(_)) => depth += 1,
            ('}', Some(start)) => {
                depth -= 1;
                if depth == 0 {
                    return code.get(start..at);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn a_file_of_401_lines_of_code_is_too_long_and_one_of_400_with_comments_and_tests_is_not() {
    let text = "// why\n\nlet a;\n".repeat(400) + "#[cfg(test)]\nmod tests {}\n";
    assert_eq!(file(&Source::new("a.rs", &text)), []);
    assert_eq!(file(&Source::new("a.rs", &format!("let b;\n{text}"))).len(), 1);
    assert_eq!(file(&Source::new("a_tests.rs", &"let a;\n".repeat(400))), []);
    assert_eq!(file(&Source::new("a_tests.rs", &"let a;\n".repeat(401))).len(), 1);
}

#[test]
fn a_function_of_71_lines_is_too_long_wherever_it_stands() {
    let function = |lines: usize| {
        format!("fn declared();\nimpl A {{ fn f(a: [u8; 2]) {{\n{}}} }}\n", "a();\n".repeat(lines))
    };
    assert_eq!(functions(&Source::new("a.rs", &function(70))), []);
    let found = functions(&Source::new("a.rs", &function(71)));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].line, 2);
}

#[test]
fn a_line_of_101_columns_is_too_long() {
    let text = format!("{}\n{}\n", "字".repeat(100), "a".repeat(101));
    let found = columns(&Source::new("a.rs", &text));
    assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [2]);
}
