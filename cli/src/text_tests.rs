use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use super::*;

const OPENAPI: &str = include_str!("../../controller/openapi.json");
const PHASE_EVENTS: &str = include_str!("../../controller/src/core/phase-events.txt");

fn chinese() -> Texts {
    toml::from_str(ZH_CN).unwrap()
}

/// The literals that stand in the program's sources right after one of `calls`.
fn literals(calls: &[&str]) -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(sources).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs")
            || path.to_string_lossy().ends_with("_tests.rs")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        for call in calls {
            for (at, _) in text.match_indices(call) {
                let rest = text[at + call.len()..].trim_start();
                let Some(rest) = rest.strip_prefix('"') else { continue };
                let literal = rest.split('"').next().unwrap_or_default();
                // A line that goes on: the backslash and the blanks after it are not part of it.
                let mut whole = String::new();
                for (at, part) in literal.split("\\\n").enumerate() {
                    whole.push_str(if at == 0 { part } else { part.trim_start() });
                }
                found.insert(whole);
            }
        }
    }
    found
}

fn missing<'a>(wanted: impl IntoIterator<Item = &'a String>, known: &HashMap<String, String>) {
    let missing: Vec<_> = wanted.into_iter().filter(|key| !known.contains_key(*key)).collect();
    assert!(missing.is_empty(), "text.zh-CN.toml lacks {missing:?}");
}

#[test]
fn every_title_and_sentence_has_its_chinese_and_none_is_left_over() {
    let texts = chinese();
    let titles = literals(&["column("]);
    assert!(titles.len() > 50, "{titles:?}");
    missing(&titles, &texts.titles);
    let sentences = literals(&[".fill("]);
    assert!(sentences.len() > 10, "{sentences:?}");
    missing(&sentences, &texts.sentences);
    let unused: Vec<_> = texts.sentences.keys().filter(|key| !sentences.contains(*key)).collect();
    assert!(unused.is_empty(), "no sentence of the program: {unused:?}");
}

#[test]
fn a_sentence_is_filled_at_as_many_places_in_every_language() {
    for (english, chinese) in chinese().sentences {
        assert_eq!(english.matches("{}").count(), chinese.matches("{}").count(), "{english}");
        assert!(!chinese.trim().is_empty(), "{english}");
    }
}

/// Goes through all schemas that an answer can hold.
fn answers(document: &Value, each: &mut impl FnMut(&str, &Value)) {
    fn walk<'a>(
        schema: &'a Value,
        schemas: &'a Value,
        seen: &mut BTreeSet<String>,
        each: &mut impl FnMut(&str, &Value),
    ) {
        match schema {
            Value::Array(all) => all.iter().for_each(|one| walk(one, schemas, seen, each)),
            Value::Object(members) => {
                if let Some(name) = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next())
                    && seen.insert(name.to_owned())
                {
                    walk(&schemas[name], schemas, seen, each);
                }
                for (name, property) in
                    members.get("properties").and_then(Value::as_object).into_iter().flatten()
                {
                    each(name, property);
                }
                members.values().for_each(|one| walk(one, schemas, seen, each));
            }
            _ => {}
        }
    }
    let schemas = &document["components"]["schemas"];
    let mut seen = BTreeSet::new();
    for operation in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
    {
        for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
            if status.starts_with('2') {
                walk(&answer["content"], schemas, &mut seen, each);
            }
        }
    }
}

#[test]
fn every_member_of_an_answer_has_its_chinese() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut members = BTreeSet::new();
    answers(&document, &mut |name, _| {
        members.insert(name.to_owned());
    });
    assert!(members.len() > 100, "{members:?}");
    missing(&members, &chinese().members);
}

/// The words that a schema names: its enumeration, or those in backticks in its description.
fn words(schema: &Value, schemas: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if let Some(name) = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next()) {
        found.extend(words(&schemas[name], schemas));
    }
    found.extend(
        schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned),
    );
    found.extend(schema["const"].as_str().map(str::to_owned));
    for kind in ["oneOf", "anyOf", "allOf"] {
        for one in schema[kind].as_array().into_iter().flatten() {
            found.extend(words(one, schemas));
        }
    }
    if let Some(description) = schema["description"].as_str() {
        found.extend(description.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    found.retain(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    });
    found
}

#[test]
fn every_word_of_the_api_has_its_chinese() {
    let texts = chinese();
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut found = BTreeSet::new();
    answers(&document, &mut |name, property| {
        // What a journal calls an event is named in the table of phases below.
        if holds_word(name) && name != "event" {
            found.extend(words(property, &document["components"]["schemas"]));
        }
    });
    assert!(found.len() > 30, "{found:?}");
    missing(&found, &texts.words);
    let lines = PHASE_EVENTS.lines().filter(|line| !line.is_empty());
    let of_the_way: BTreeSet<String> = lines
        .flat_map(|line| line.split([':', ' ']).filter(|word| !word.is_empty()))
        .map(str::to_owned)
        .collect();
    assert!(of_the_way.contains("trial") && of_the_way.contains("approve-wipe"));
    missing(&of_the_way, &texts.words);
}

#[test]
fn the_language_is_that_of_the_locale() {
    for (locale, lang) in [
        ("zh_CN.UTF-8", Lang::ZhCn),
        ("zh_CN", Lang::ZhCn),
        ("zh", Lang::ZhCn),
        ("zh_TW.UTF-8", Lang::En),
        ("en_GB.UTF-8", Lang::En),
        ("C", Lang::En),
        ("", Lang::En),
    ] {
        assert_eq!(Lang::of_locale(locale), lang, "{locale}");
    }
}

#[test]
fn what_has_no_chinese_is_shown_as_it_is() {
    let text = Text::new(Lang::ZhCn);
    assert_eq!(text.word("trial"), "试运行");
    assert_eq!(text.word("another"), "another");
    assert_eq!(text.member("no_such_member"), "no such member");
    assert_eq!(text.fill("tenant {} is {}", &["a", "b"]), "租户 a：b");
    assert_eq!(Text::new(Lang::En).fill("tenant {} is {}", &["{}", "b"]), "tenant {} is b");
}
