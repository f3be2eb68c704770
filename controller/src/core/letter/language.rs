//! The templates of the notices' words: `controller/data/letters`, a file for each language in the
//! syntax of Project Fluent.

use std::fmt;

use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};

use super::Words;
use crate::core::rules::Period;

const CHINESE: &str = include_str!("../../../data/letters/zh-CN.ftl");
const ENGLISH: &str = include_str!("../../../data/letters/en.ftl");
/// The attribute of a letter that is its half of the subject line.
const SUBJECT: &str = "subject";

/// The variables of a message, each by its name.
macro_rules! variables {
    ($($name:literal => $value:expr),* $(,)?) => {{
        let mut variables = fluent_bundle::FluentArgs::new();
        $(variables.set($name, $value);)*
        variables
    }};
}

/// Why the templates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the notices' words in {language}: {what}")]
pub struct LettersError {
    language: &'static str,
    what: String,
}

/// The words of all notices.
#[derive(Debug)]
pub struct Letters {
    pub(super) chinese: Language,
    pub(super) english: Language,
}

/// The words in one language.
pub(super) struct Language {
    name: &'static str,
    /// Its lock is taken to format numbers and to choose by them alone: variables are all text.
    bundle: FluentBundle<FluentResource>,
}

impl Letters {
    /// Those that this build has.
    ///
    /// # Errors
    /// [`LettersError`], which a test would have found.
    pub fn shipped() -> Result<Self, LettersError> {
        let chinese = Language::read("zh-CN", CHINESE)?;
        Ok(Self { chinese, english: Language::read("en", ENGLISH)? })
    }

    /// A letter in both languages; what each puts in the places of its variables may differ.
    pub(super) fn words<'a>(
        &self,
        id: &str,
        variables: impl Fn(&Language) -> FluentArgs<'a>,
    ) -> Words {
        let [chinese, english] = [&self.chinese, &self.english].map(|language| {
            let variables = variables(language);
            (language.say(&format!("{id}.{SUBJECT}"), &variables), language.say(id, &variables))
        });
        Words {
            subject: format!("{} {}", chinese.0, english.0),
            chinese: chinese.1,
            english: english.1,
        }
    }

    /// The text for people where there is room: Chinese first, then English. The last two are what
    /// the letter says, and about what it is, in both.
    pub(super) fn mail(&self, contact: &str, texts: [&str; 2], abouts: [&str; 2]) -> String {
        let mail = |language: &Language, place: usize| {
            let [text, about] = [texts[place], abouts[place]];
            let variables = variables!["contact" => contact, "text" => text, "about" => about];
            language.say("mail", &variables)
        };
        format!("{}\n\n--\n\n{}\n", mail(&self.chinese, 0), mail(&self.english, 1))
    }
}

impl Language {
    fn read(name: &'static str, text: &str) -> Result<Self, LettersError> {
        let wrong = |what: String| LettersError { language: name, what };
        let tag = name.parse().map_err(|_| wrong("no language is called so".to_owned()))?;
        let resource = FluentResource::try_new(text.to_owned())
            .map_err(|(_, errors)| wrong(format!("{errors:?}")))?;
        let mut bundle = FluentBundle::new_concurrent(vec![tag]);
        bundle.set_use_isolating(false);
        bundle.add_resource(resource).map_err(|errors| wrong(format!("{errors:?}")))?;
        Ok(Self { name, bundle })
    }

    /// A message, or one of its attributes (`message.attribute`), with what belongs in the places
    /// of its variables. A test renders every letter: what it lacks fails there, and at run time
    /// what is missing is named in its place.
    pub(super) fn say(&self, id: &str, variables: &FluentArgs<'_>) -> String {
        let (message, attribute) = id.split_once('.').unzip();
        let found = self.bundle.get_message(message.unwrap_or(id));
        let pattern = found.and_then(|found| match attribute {
            Some(attribute) => Some(found.get_attribute(attribute)?.value()),
            None => found.value(),
        });
        let mut errors = Vec::new();
        let text = pattern.map(|pattern| {
            self.bundle.format_pattern(pattern, Some(variables), &mut errors).into_owned()
        });
        debug_assert!(text.is_some() && errors.is_empty(), "{} {id}: {errors:?}", self.name);
        text.unwrap_or_else(|| format!("{{{id}}}"))
    }

    /// A list, as it stands in a sentence.
    pub(super) fn list(&self, each: &[String]) -> String {
        each.join(&self.say("list-separator", &FluentArgs::new()))
    }

    /// A period of the law.
    pub(super) fn period(&self, period: Period) -> String {
        let unit = match period {
            Period::WorkingDays(_) => "working-days",
            Period::CalendarDays(_) => "calendar-days",
            Period::Months(_) => "months",
            Period::Seconds(_) => "seconds",
            Period::WorkingDaysBefore(_) => "working-days-before",
            Period::SameAs(_) => "same-as",
            Period::EachMonth(_) => "each-month",
            Period::EachYear(_) => "each-year",
            Period::None => "none",
        };
        let other = match period {
            Period::SameAs(other) => other.as_str(),
            _ => "",
        };
        let number = period.number().to_string();
        let variables = variables!["unit" => unit, "number" => number, "other" => other];
        self.say("period", &variables)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Language").field("name", &self.name).finish_non_exhaustive()
    }
}
