//! The checklist of an application (clauses 4.1 and 4.2): everything that the form asks for, in the
//! form's order, with what is there of it and what is not. It is computed from the form's own
//! schema, so a site's own form has its own checklist; what the schema finds wrong is in it
//! whatever way the schema was written in. Values are in none of it: they may be secrets.

use serde::Serialize;
use serde_json::Value;

use super::{Form, Forms};
use crate::core::{
    refusal::{Code, Refusal},
    tenant::Application,
};

/// Fields within fields that are looked at.
const DEPTH: usize = 8;
/// Items that a refusal names.
const ITEMS_SHOWN: usize = 16;

/// One thing that the form asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Where it stands: a JSON pointer (RFC 6901) into the application.
    pub pointer: String,
    /// What the form calls it.
    pub title: String,
    /// Whether an application has to have it.
    pub required: bool,
    /// What is there of it.
    pub state: ItemState,
}

/// What is there of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemState {
    /// It is there, and fits.
    Given,
    /// It is not there, and need not be.
    LeftOut,
    /// It is not there, and has to be.
    Absent,
    /// It is there, and does not fit.
    Wrong,
}

impl ItemState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Given, Self::LeftOut, Self::Absent, Self::Wrong];
}

impl Forms {
    /// The checklist by the form that the application was made on; by the current one if that is
    /// not known here.
    #[must_use]
    pub fn checklist(&self, application: &Application) -> Vec<Item> {
        let value = serde_json::to_value(application).unwrap_or_default();
        let version = value.pointer("/form/version").and_then(Value::as_str);
        let known = [Some(&self.current), self.shipped.as_ref()];
        let made_on = known.into_iter().flatten().find(|form| Some(&*form.version) == version);
        made_on.unwrap_or(&self.current).checklist(&value)
    }

    /// Checks that nothing is missing or wrong of what the provider is about to approve.
    ///
    /// # Errors
    /// `incomplete`, with what is missing or wrong.
    pub fn complete(&self, application: &Application) -> Result<(), Refusal> {
        let lacking = |item: &Item| match item.state {
            ItemState::Absent => Some(format!("{} {} is missing", item.pointer, item.title)),
            ItemState::Wrong => Some(format!("{} {} is wrong", item.pointer, item.title)),
            ItemState::Given | ItemState::LeftOut => None,
        };
        let mut lacking: Vec<String> =
            self.checklist(application).iter().filter_map(lacking).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let more = lacking.len().saturating_sub(ITEMS_SHOWN);
        lacking.truncate(ITEMS_SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(Refusal::new(
            Code::Incomplete,
            format!(
                "an application is approved once nothing of its checklist is missing or wrong: \
                 {}{more}; return it for correction",
                lacking.join("; ")
            ),
        ))
    }
}

impl Form {
    fn checklist(&self, application: &Value) -> Vec<Item> {
        let mut items = Vec::new();
        walk(&self.document, application, "", DEPTH, &mut items);
        for error in self.validator.iter_errors(application) {
            let (pointer, state) = match error.kind() {
                jsonschema::error::ValidationErrorKind::Required { property } => {
                    let name = property.as_str().unwrap_or_default();
                    let at = error.instance_path().as_str();
                    (format!("{at}/{}", escaped(name)), ItemState::Absent)
                }
                _ => (error.instance_path().as_str().to_owned(), ItemState::Wrong),
            };
            if let Some(known) = items.iter_mut().find(|item| item.pointer == pointer) {
                known.state = state;
                // Some things are required because of others.
                known.required |= state == ItemState::Absent;
            } else {
                let (title, required) = (String::new(), true);
                items.push(Item { pointer, title, required, state });
            }
        }
        items
    }
}

/// The fields of a schema and what a value has of them; of a list, those of each entry.
fn walk(schema: &Value, value: &Value, at: &str, depth: usize, items: &mut Vec<Item>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if let (Some(entry), Some(entries)) = (schema.get("items"), value.as_array()) {
        for (number, one) in entries.iter().enumerate() {
            walk(entry, one, &format!("{at}/{number}"), depth, items);
        }
    }
    let fields = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    for (name, field) in fields.into_iter().flatten() {
        let pointer = format!("{at}/{}", escaped(name));
        let title = field.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
        let required = required.is_some_and(|names| names.iter().any(|one| one == name.as_str()));
        let given = value.get(name).filter(|value| !value.is_null());
        let state = match (given, required) {
            (Some(_), _) => ItemState::Given,
            (None, true) => ItemState::Absent,
            (None, false) => ItemState::LeftOut,
        };
        items.push(Item { pointer: pointer.clone(), title, required, state });
        if let Some(given) = given {
            walk(field, given, &pointer, depth, items);
        }
    }
}

/// As a step of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
