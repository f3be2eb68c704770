//! What people read, in their language. English stands in the program; [`Text`] gives the words of
//! another language for it, from one table per language. Only what Tenure itself says is put into
//! another language, never what somebody has written.

use std::{borrow::Cow, collections::HashMap};

use clap::ValueEnum;
use serde::Deserialize;

const ZH_CN: &str = include_str!("text.zh-CN.toml");

/// A language of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// English.
    En,
    /// Chinese, simplified.
    #[value(name = "zh-CN", alias = "zh")]
    ZhCn,
}

impl Lang {
    /// The language of a POSIX locale, such as `zh_CN.UTF-8`; English if it is none of ours.
    pub(crate) fn of_locale(locale: &str) -> Self {
        let name = locale.split(['.', '@']).next().unwrap_or_default();
        match name {
            "zh" | "zh_CN" | "zh_SG" | "zh_Hans" => Self::ZhCn,
            _ => Self::En,
        }
    }
}

/// A table of a language's texts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    titles: HashMap<String, String>,
    sentences: HashMap<String, String>,
    members: HashMap<String, String>,
    words: HashMap<String, String>,
}

/// The texts of one language.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// None for English.
    texts: Option<Texts>,
}

impl Text {
    /// The texts of `lang`.
    pub(crate) fn new(lang: Lang) -> Self {
        match lang {
            Lang::En => Self::default(),
            // A test reads the table; without it there is still English.
            Lang::ZhCn => Self { texts: toml::from_str(ZH_CN).ok() },
        }
    }

    /// A column's title.
    pub(crate) fn title<'a>(&'a self, english: &'a str) -> &'a str {
        self.find(|texts| &texts.titles, english).unwrap_or(english)
    }

    /// A member of an answer.
    pub(crate) fn member<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        match self.find(|texts| &texts.members, name) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(name.replace('_', " ")),
        }
    }

    /// A word of the API's own for a state, a role, an event or a kind.
    pub(crate) fn word<'a>(&'a self, word: &'a str) -> &'a str {
        self.find(|texts| &texts.words, word).unwrap_or(word)
    }

    /// A sentence with its `{}` filled in, in order.
    pub(crate) fn fill(&self, english: &str, parts: &[&str]) -> String {
        let sentence = self.find(|texts| &texts.sentences, english).unwrap_or(english);
        let mut filled = String::new();
        let mut parts = parts.iter();
        for (at, text) in sentence.split("{}").enumerate() {
            if at > 0 {
                filled.push_str(parts.next().unwrap_or(&"{}"));
            }
            filled.push_str(text);
        }
        filled
    }

    fn find<'a>(
        &'a self,
        table: impl FnOnce(&'a Texts) -> &'a HashMap<String, String>,
        key: &str,
    ) -> Option<&'a str> {
        table(self.texts.as_ref()?).get(key).map(String::as_str)
    }
}

/// Members whose values are words of the API, not somebody's text.
pub(crate) fn holds_word(member: &str) -> bool {
    WORDED.contains(&member)
}

const WORDED: &[&str] = &[
    "action",
    "admission",
    "assessment",
    "basis",
    "channel",
    "compliance",
    "decision",
    "designated",
    "direction",
    "event",
    "form",
    "hold",
    "isolation",
    "kind",
    "lane",
    "party",
    "phase",
    "step",
    "verdict",
    "power",
    "role",
    "second_factor",
    "standing",
    "state",
    "zone",
];

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
