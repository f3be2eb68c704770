//! The application form: a versioned JSON schema (draft 2020-12) that a whole application has to
//! satisfy before anything else is looked at. The one in `controller/data` is shipped; a province
//! may put its own in its place. The form of DB36/T 980 appendix A is not reproduced, and no
//! conformity with it is claimed.
//!
//! Beside the formats of JSON schema there is `unified-social-credit-code`, with its check
//! character (GB 32100-2015).

pub mod checklist;

use std::fmt;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use super::{
    refusal::{Code, Refusal},
    tenant::Application,
};

/// The schema that this build has.
const SHIPPED: &str = include_str!("../../data/application-form.v1.json");
/// Where a schema says its version: applications of it say the same.
const VERSION: &str = "/properties/form/properties/version/const";
/// Longest version, characters.
const VERSION_LIMIT: usize = 40;
/// How many wrong fields a refusal names.
const ERRORS_SHOWN: usize = 8;

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// No version, or an odd one.
    #[error(
        "it has no version: give {VERSION} a text of 1 to {VERSION_LIMIT} letters, digits, dots \
         and hyphens"
    )]
    Version,
    /// The version of the shipped form, which this one is not.
    #[error("it has version {0:?}, which is the shipped form's: give it another")]
    Taken(String),
    /// Not a JSON schema.
    #[error("it is no JSON schema (draft 2020-12): {0}")]
    Schema(String),
}

/// One version of the form.
pub struct Form {
    version: String,
    document: Value,
    validator: Validator,
}

/// The forms of this site: the one that applications have to satisfy now, and the shipped one.
#[derive(Debug)]
pub struct Forms {
    current: Form,
    shipped: Option<Form>,
}

impl Forms {
    /// The shipped form, or the site's own before it.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn new(own: Option<&str>) -> Result<Self, FormError> {
        let shipped = Form::read(SHIPPED)?;
        let Some(own) = own else { return Ok(Self { current: shipped, shipped: None }) };
        let own = Form::read(own)?;
        if own.version == shipped.version {
            return Err(FormError::Taken(own.version));
        }
        Ok(Self { current: own, shipped: Some(shipped) })
    }

    /// The form of this version.
    #[must_use]
    pub fn get(&self, version: &str) -> Option<&Value> {
        let forms = [Some(&self.current), self.shipped.as_ref()];
        let found = forms.into_iter().flatten().find(|form| form.version == version);
        found.map(|form| &form.document)
    }

    /// Version of the form that applications have to satisfy now.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.current.version
    }

    /// Checks a whole application.
    ///
    /// # Errors
    /// `invalid-application`, which names each wrong field by its JSON pointer (RFC 6901) and says
    /// what to do.
    pub fn check(&self, application: &Application) -> Result<(), Refusal> {
        let invalid = |sentence| Refusal::new(Code::InvalidApplication, sentence);
        let value = serde_json::to_value(application)
            .map_err(|error| invalid(format!("the application cannot be read: {error}")))?;
        let mut wrong: Vec<String> = Vec::new();
        for error in self.current.validator.iter_errors(&value) {
            wrong.extend(self.current.sentences(&error));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let more = wrong.len().saturating_sub(ERRORS_SHOWN);
        wrong.truncate(ERRORS_SHOWN);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        let version = &self.current.version;
        Err(invalid(format!(
            "the application does not fit the form, GET /v1/application-forms/{version}: {}",
            wrong.join("; ")
        )))
    }
}

impl Form {
    fn read(text: &str) -> Result<Self, FormError> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| FormError::Json(error.to_string()))?;
        let version = document.pointer(VERSION).and_then(Value::as_str).unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if !(1..=VERSION_LIMIT).contains(&version.len()) || !version.bytes().all(fits) {
            return Err(FormError::Version);
        }
        let version = version.to_owned();
        let validator = jsonschema::draft202012::options()
            .with_format("unified-social-credit-code", is_credit_code)
            .should_validate_formats(true)
            .build(&document)
            .map_err(|error| FormError::Schema(error.to_string()))?;
        Ok(Self { version, document, validator })
    }

    /// What is wrong, field by field, in words without the values: they may be secrets.
    fn sentences(&self, error: &ValidationError<'_>) -> Vec<String> {
        let at = error.instance_path().as_str();
        let schema = error.schema_path().as_str();
        let schema = schema.rsplit_once('/').map_or("", |(parent, _)| parent);
        let child = |name: &str, words: &str| {
            let name = name.replace('~', "~0").replace('/', "~1");
            let title = self.title(&format!("{schema}/properties/{name}"));
            format!("{at}/{name}{title} {words}")
        };
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                vec![child(property.as_str().unwrap_or_default(), "is missing: add it")]
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
                .iter()
                .map(|name| child(name, "is no field of this form: take it out"))
                .collect(),
            ValidationErrorKind::Format { format } => {
                let words = match format.as_str() {
                    "unified-social-credit-code" => {
                        "is no code of 18 characters with the right check character (GB 32100)"
                    }
                    "date" => "is no date such as 2026-10-20",
                    "email" => "is no e-mail address such as duty@example.gov.cn",
                    _ => "is not written as it has to be",
                };
                vec![format!("{at}{} {words}", self.title(schema))]
            }
            _ => vec![format!("{at}{}: {}", self.title(schema), error.masked())],
        }
    }

    /// The title of the field, in brackets.
    fn title(&self, schema: &str) -> String {
        let field = self.document.pointer(schema);
        let title = field.and_then(|field| field.get("title")).and_then(Value::as_str);
        title.map(|title| format!(" ({title})")).unwrap_or_default()
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Whether this is a unified social credit code: 17 characters and the check character over them,
/// modulo 31 with weights of powers of 3 (GB 32100-2015, 5.2).
#[must_use]
pub fn is_credit_code(text: &str) -> bool {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    let place = |byte: u8| ALPHABET.iter().position(|known| *known == byte);
    let Some(values) = text.bytes().map(place).collect::<Option<Vec<usize>>>() else {
        return false;
    };
    let Some((check, values)) = values.split_last().filter(|(_, values)| values.len() == 17) else {
        return false;
    };
    let mut weight = 1;
    let mut sum = 0;
    for value in values {
        sum += value * weight;
        weight = weight * 3 % 31;
    }
    *check == (31 - sum % 31) % 31
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
