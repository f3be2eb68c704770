//! What people are called at OpenID providers, and what a provider's addresses have to be.
//!
//! An identity is a provider's issuer and its subject (OpenID Connect Core 1.0, section 5.7): no
//! other claim, no name and no mail address, says who somebody is. It opens the account that an
//! administrator has linked it to, and says nothing of roles.

use http::Uri;
use serde::{Deserialize, Serialize};

/// Longest subject, characters (OpenID Connect Core 1.0, section 2).
pub const SUBJECT_MAX: usize = 255;
/// Longest issuer, bytes.
const ISSUER_MAX: usize = 512;

/// A person as a provider knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's issuer, as it writes it.
    pub issuer: String,
    /// The person's subject there.
    pub subject: String,
}

/// Scheme, host and port of a URL: who answers there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// Why an identity or an issuer cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No subject.
    #[error("`subject` is 1 to 255 visible ASCII characters, as the provider writes it")]
    Subject,
    /// No URL of an issuer.
    #[error(
        "an issuer is an https URL without query, fragment and user, or http on this machine \
         (127.0.0.1, [::1], localhost): write it exactly as the provider does"
    )]
    Issuer,
}

/// Checks a subject.
///
/// # Errors
/// [`IdentityError::Subject`].
pub fn subject(text: &str) -> Result<(), IdentityError> {
    let good =
        (1..=SUBJECT_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(()) } else { Err(IdentityError::Subject) }
}

/// Checks an issuer, and says who answers there.
///
/// # Errors
/// [`IdentityError::Issuer`].
pub fn issuer(text: &str) -> Result<Origin, IdentityError> {
    // `http::Uri` drops a fragment without a word.
    if text.len() > ISSUER_MAX || text.contains(['#', '?', '@']) {
        return Err(IdentityError::Issuer);
    }
    let uri: Uri = text.parse().map_err(|_| IdentityError::Issuer)?;
    Origin::of(&uri).filter(Origin::is_private_on_the_way).ok_or(IdentityError::Issuer)
}

impl Origin {
    /// Of an http or https URL.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Self> {
        let scheme = uri.scheme_str()?;
        let port = match (uri.port(), scheme) {
            (Some(port), "https" | "http") => port.as_u16(),
            (None, "https") => 443,
            (None, "http") => 80,
            (Some(_) | None, _) => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        Some(Self { scheme: scheme.to_owned(), host, port })
    }

    /// Whether nobody between here and there can read along.
    fn is_private_on_the_way(&self) -> bool {
        self.scheme == "https" || ["127.0.0.1", "[::1]", "localhost"].contains(&self.host.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for good in [
            "https://id.example",
            "https://id.example/realms/a/",
            "http://127.0.0.1:3000",
            "http://[::1]:3000/x",
            "http://localhost",
        ] {
            assert!(issuer(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "http://id.example",
            "http://127.0.0.1.example",
            "http://localhost.example:80/",
            "ftp://id.example",
            "https://id.example?x=1",
            "https://id.example/#x",
            "https://a@id.example",
            "https://",
        ] {
            assert_eq!(issuer(bad), Err(IdentityError::Issuer), "{bad}");
        }
    }

    #[test]
    fn the_same_origin_is_scheme_host_and_port() {
        let origin = |text: &str| Origin::of(&text.parse().expect("a URL")).expect("an origin");
        assert_eq!(origin("https://id.example/a"), origin("https://ID.example:443/b?c"));
        for other in ["https://id.example:8443/", "http://id.example/", "https://x.id.example/"] {
            assert_ne!(origin("https://id.example/"), origin(other), "{other}");
        }
    }

    #[test]
    fn a_subject_is_short_and_visible() {
        assert_eq!(subject("248289761001"), Ok(()));
        for bad in ["", "a b", "a\n", "李娜", &"a".repeat(256)] {
            assert_eq!(subject(bad), Err(IdentityError::Subject), "{bad}");
        }
    }
}
