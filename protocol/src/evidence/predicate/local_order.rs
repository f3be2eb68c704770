//! An order that a person gave on the host itself, because no controller was there to give it.
//!
//! The order's digest in the statement's origin is computed from these words and from what the
//! statement is about, so neither can be exchanged for another: whoever verifies computes it again.

use serde::{Deserialize, Serialize};

use super::network_cut::Direction;
use crate::{
    digest::Digest,
    id::{CutId, HostId, OrderId, TenantId},
    time::Timestamp,
};

/// Longest reason, characters.
pub const MAX_REASON_CHARS: usize = 2_000;

/// Longest login or name, characters.
pub const MAX_NAME_CHARS: usize = 128;

/// Who ordered what a host did, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalOrder {
    /// The login under which the person came to the host, as its kernel and its list of users have
    /// it.
    pub login: String,
    /// The number of that user.
    pub uid: u32,
    /// Who the person is by its own account, if it said.
    pub by: Option<String>,
    /// Why, in the person's words.
    pub reason: String,
    /// When it was journalled, by the host's clock.
    pub at: Timestamp,
}

/// What a local order is about, as its digest has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalAct {
    /// The order's id, made by the host.
    pub id: OrderId,
    /// Whose traffic.
    pub tenant: TenantId,
    /// The host.
    pub host: HostId,
    /// Which cut.
    pub cut: CutId,
    /// Which way.
    pub direction: Direction,
}

/// The text that the digest is of, as compact JSON in this order.
#[derive(Serialize)]
struct Text<'a> {
    v: u32,
    act: &'a LocalAct,
    given: &'a LocalOrder,
}

impl LocalOrder {
    /// Digest of the order: SHA-256 of `{"v":1,"act":…,"given":…}`, compact JSON, members in the
    /// order in which these types have them.
    #[must_use]
    pub fn digest(&self, act: &LocalAct) -> Digest {
        // Plain values alone: there is nothing that cannot be written.
        Digest::of(&serde_json::to_vec(&Text { v: 1, act, given: self }).unwrap_or_default())
    }

    /// What is wrong with its words, as a sentence.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let line = |text: &str, most: usize| {
            let length = text.chars().count();
            (1..=most).contains(&length)
                && !text.trim().is_empty()
                && !text.chars().any(char::is_control)
        };
        if !line(&self.login, MAX_NAME_CHARS) {
            Some("the login of who ordered it is 1 to 128 characters, none a control character")
        } else if !self.by.as_ref().is_none_or(|by| line(by, MAX_NAME_CHARS)) {
            Some("the name of who ordered it is 1 to 128 characters, none a control character")
        } else if !line(&self.reason, MAX_REASON_CHARS) {
            Some("the reason is 1 to 2,000 characters, none a control character")
        } else {
            None
        }
    }

    /// Who, in words.
    #[must_use]
    pub fn person(&self) -> String {
        match &self.by {
            Some(by) => format!("{by} (login {})", self.login),
            None => self.login.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn order() -> LocalOrder {
        LocalOrder {
            login: "li".to_owned(),
            uid: 1000,
            by: None,
            reason: "flood".to_owned(),
            at: Timestamp::from_unix_ms(1),
        }
    }

    #[test]
    fn its_digest_is_of_its_words_and_of_what_it_is_about() {
        let uuid = Uuid::from_u128;
        let act = LocalAct {
            id: OrderId::from_uuid(uuid(1)),
            tenant: TenantId::from_uuid(uuid(2)),
            host: HostId::from_uuid(uuid(3)),
            cut: CutId::from_uuid(uuid(4)),
            direction: Direction::Cut,
        };
        let digest = order().digest(&act);
        let text = concat!(
            r#"{"v":1,"act":{"id":"00000000-0000-0000-0000-000000000001","#,
            r#""tenant":"00000000-0000-0000-0000-000000000002","#,
            r#""host":"00000000-0000-0000-0000-000000000003","#,
            r#""cut":"00000000-0000-0000-0000-000000000004","direction":"cut"},"#,
            r#""given":{"login":"li","uid":1000,"by":null,"reason":"flood","#,
            r#""at":"1970-01-01T00:00:00.001Z"}}"#,
        );
        assert_eq!(digest, Digest::of(text.as_bytes()));
        let other = LocalOrder { reason: "drill".to_owned(), ..order() };
        assert_ne!(other.digest(&act), digest);
        assert_ne!(order().digest(&LocalAct { direction: Direction::Restore, ..act }), digest);
    }

    #[test]
    fn it_names_a_person_and_a_reason_in_one_line_each() {
        assert_eq!(order().fault(), None);
        let named = |by: &str| LocalOrder { by: Some(by.to_owned()), ..order() };
        assert_eq!(named("wang.lei").person(), "wang.lei (login li)");
        for bad in ["", "  ", "a\nb", &"x".repeat(129)] {
            assert!(named(bad).fault().is_some(), "{bad:?}");
            assert!(LocalOrder { login: bad.to_owned(), ..order() }.fault().is_some());
        }
        assert!(LocalOrder { reason: "\u{1b}[2J".to_owned(), ..order() }.fault().is_some());
    }
}
