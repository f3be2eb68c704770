//! What a gateway says later of a message, at a URL that is the message's own: the site's
//! configuration describes which of its words mean what.

use serde::Deserialize;
use ureq::http::Uri;

/// How the site describes its gateway's receipts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// The controller's API as the gateway reaches it, without a path.
    pub url: String,
    /// The parameter of the query that says what became of the message.
    pub parameter: String,
    /// Its values that mean that the message is on the telephone.
    pub delivered: Vec<String>,
    /// Its values that mean that it is not, and will not be; any other is no last word.
    #[serde(default)]
    pub failed: Vec<String>,
}

impl Receipts {
    /// The URL for receipts of one message. Whoever knows it may give them.
    #[must_use]
    pub fn url_of(&self, token: &str) -> String {
        format!("{}/v1/receipts/{token}", self.url.trim_end_matches('/'))
    }

    /// Whether a receipt can come to it, and prove anything.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let url: Option<Uri> = self.url.parse().ok();
        url.is_some_and(|url| {
            matches!(url.scheme_str(), Some("https" | "http"))
                && url.host().is_some()
                && url.path() == "/"
                && url.query().is_none()
        }) && !self.parameter.is_empty()
            && !self.delivered.is_empty()
            && self.delivered.iter().all(|value| !self.failed.contains(value))
    }

    /// Whether a receipt's query says that the message is on the telephone, or that it never will
    /// be; nothing if it is no last word.
    ///
    /// # Errors
    /// If the query has no such parameter, or has it twice.
    pub fn read(&self, query: &str) -> Result<Option<bool>, String> {
        let all = form_urlencoded::parse(query.as_bytes());
        let mut values = all.filter(|(name, _)| *name == self.parameter).map(|(_, value)| value);
        let (Some(value), None) = (values.next(), values.next()) else {
            let name = &self.parameter;
            return Err(format!("a receipt says once, in {name}, what became of the message"));
        };
        let says = |of: &[String]| of.iter().any(|one| *one == value);
        Ok(match (says(&self.delivered), says(&self.failed)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipts(url: &str) -> Receipts {
        let list = |values: &[&str]| values.iter().map(|one| (*one).to_owned()).collect();
        Receipts {
            url: url.to_owned(),
            parameter: "status".to_owned(),
            delivered: list(&["1"]),
            failed: list(&["2", "16"]),
        }
    }

    #[test]
    fn only_the_values_that_the_site_names_are_a_last_word() {
        let receipts = receipts("https://tenure.example:8443");
        for (query, means) in [
            ("status=1", Some(true)),
            ("answer=stat%3ADELIVRD&stat%75s=1", Some(true)),
            ("status=2", Some(false)),
            ("status=16&x", Some(false)),
            ("status=8", None),
            ("status=", None),
            ("status=11", None),
        ] {
            assert_eq!(receipts.read(query), Ok(means), "{query}");
        }
        for query in ["", "state=1", "status=8&status=1"] {
            assert!(receipts.read(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_receipts_url_is_the_apis_and_what_is_contradictory_is_not_usable() {
        assert_eq!(
            receipts("https://tenure.example:8443/").url_of("t"),
            "https://tenure.example:8443/v1/receipts/t"
        );
        assert!(receipts("https://tenure.example").is_usable());
        for url in ["", "tenure.example", "ftp://tenure.example", "https://tenure.example/a"] {
            assert!(!receipts(url).is_usable(), "{url}");
        }
        let both = Receipts { failed: vec!["1".to_owned()], ..receipts("https://a.example") };
        assert!(!both.is_usable());
        let none = Receipts { delivered: Vec::new(), ..receipts("https://a.example") };
        assert!(!none.is_usable());
    }
}
