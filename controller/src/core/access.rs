//! Who calls, and with what: persons, scopes, and the rules of names, passwords and lifetimes.
//!
//! Separation of duties goes by the **person**: every token belongs to a person by its owner, a
//! script's token too, and every session is of an account, whose name is the person's. Two tokens
//! of one person are therefore one actor, and cannot approve twice. A person has one role for one
//! customer, whatever is used to come in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tenure_protocol::{digest::Digest, time::Timestamp};

use super::lifecycle::{Actor, Role};

/// A day, ms.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long a token lives if nothing else is asked for, days.
pub const TOKEN_DAYS: u32 = 90;
/// How long a token may live, days.
pub const TOKEN_DAYS_MAX: u32 = 366;
/// How long a session lives, ms.
pub const SESSION_MS: i64 = 8 * 60 * 60 * 1000;
/// How long a session lives without being used, ms.
pub const SESSION_IDLE_MS: i64 = 30 * 60 * 1000;
/// Uses are written down at most this often, ms: an idle time-out may come this much too early.
pub const USE_STEP_MS: i64 = 60 * 1000;
/// Sessions that one account may have; a new one ends the oldest.
pub const SESSIONS_MAX: usize = 16;
/// How long an initial password can be exchanged for one's own, ms.
pub const INITIAL_MS: i64 = 7 * DAY_MS;
/// How long a password lives, ms (GB/T 22239 8.1.4.1: it is changed regularly).
pub const PASSWORD_MS: i64 = 90 * DAY_MS;
/// Fewest characters of a password.
pub const PASSWORD_MIN: usize = 12;
/// Most characters of a password.
pub const PASSWORD_MAX: usize = 128;
/// Longest name of a person, a token or a customer, in characters.
pub const NAME_MAX: usize = 63;

/// Names that nobody may have: the controller's own.
const RESERVED: [&str; 2] = ["controller", "init"];

/// Groups of acts, to which a token can be limited. `data/policy.cedar` says what is in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Everything that changes nothing.
    Read,
    /// A customer's applications, declarations, reports and filings.
    Apply,
    /// Files handed in.
    File,
    /// What the parties put on record, and its confirmation.
    Record,
    /// A customer's leaving: request and confirmation.
    Leave,
    /// Opinions of the provider.
    Review,
    /// Having a configuration tried again.
    Configure,
    /// Cuts and their end.
    Cut,
    /// What is kept for courts and disputes.
    Hold,
    /// Approvals of wipes.
    Wipe,
    /// Notices of holidays, and the earlier deadlines that they ask for.
    Calendar,
    /// Taking hosts in.
    Hosts,
    /// Accounts and tokens. Two who may do this, one who makes and one who confirms, can come to
    /// do everything.
    Access,
    /// Moving the demo clock.
    Clock,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 14] = [
        Self::Read,
        Self::Apply,
        Self::File,
        Self::Record,
        Self::Leave,
        Self::Review,
        Self::Configure,
        Self::Cut,
        Self::Hold,
        Self::Wipe,
        Self::Calendar,
        Self::Hosts,
        Self::Access,
        Self::Clock,
    ];

    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Apply => "apply",
            Self::File => "file",
            Self::Record => "record",
            Self::Leave => "leave",
            Self::Review => "review",
            Self::Configure => "configure",
            Self::Cut => "cut",
            Self::Hold => "hold",
            Self::Wipe => "wipe",
            Self::Calendar => "calendar",
            Self::Hosts => "hosts",
            Self::Access => "access",
            Self::Clock => "clock",
        }
    }
}

/// What a token is limited to, within its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scope {
    /// These groups of acts.
    Groups(BTreeSet<Group>),
    /// Nothing: all that the role may.
    Everything,
}

/// With what somebody came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token, by its id.
    Token(String),
    /// A session, by its secret's digest.
    Session(Digest),
}

/// Somebody who came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person, in its role.
    pub actor: Actor,
    /// Within which limits.
    pub scope: Scope,
    /// With what.
    pub credential: Credential,
}

/// Why a name, a password or a life cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Of a person or a token. Look-alikes would be two persons to separation of duties.
    #[error(
        "{0} is 1 to 63 of a-z, 0-9 and . _ -, begins with a letter, and is not the controller's"
    )]
    Name(&'static str),
    /// A customer without an organisation.
    #[error("a customer needs the organisation that it acts for: give `customer`")]
    CustomerMissing,
    /// An organisation that cannot be.
    #[error(
        "`customer` is 1 to 63 characters, none of them a control character or at the edge blank"
    )]
    Customer,
    /// Somebody of the provider with an organisation.
    #[error("only the role customer acts for a `customer`: leave it out")]
    CustomerUnwanted,
    /// The controller's own role.
    #[error("nobody has the role controller")]
    Controller,
    /// A life out of bounds.
    #[error("a token lives 1 to 366 days: give `days` within, or leave it out for 90")]
    Days,
    /// A token that could do nothing.
    #[error("an empty `scope` would be a token for nothing: leave it out, or name groups of acts")]
    EmptyScope,
    /// Too short, too long, or too simple.
    #[error(
        "a password has 12 to 128 characters of at least three kinds (lower case, upper case, \
         digits, others) and not the account's name in it: choose another"
    )]
    Password,
    /// The new one is the old one.
    #[error("the new password is the present one: choose another")]
    SamePassword,
}

/// Why somebody did not come in by password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// Name, password or code: which one is not said.
    #[error(
        "name, password or code is wrong, the code was used already, or nobody has confirmed \
             the account yet: check all four"
    )]
    Wrong,
    /// The initial password is right.
    #[error("this is an initial password: give `new_password` with it, and then enrol")]
    NewPassword,
    /// Both factors are right.
    #[error("the password is older than 90 days: give `new_password` with it")]
    PasswordOld,
    /// An OpenID provider vouches for somebody who has no account, or one that is not enabled.
    #[error("this identity opens no account: ask an administrator to link it")]
    Unlinked,
    /// Too many come in at once.
    #[error("too many people come in at once: try again in a few seconds")]
    Busy,
}

impl SignInRefusal {
    /// The stable kebab-case text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "sign-in-refused",
            Self::NewPassword => "new-password-required",
            Self::PasswordOld => "password-expired",
            Self::Unlinked => "identity-not-linked",
            Self::Busy => "busy",
        }
    }
}

/// Checks the name of a person or a token.
///
/// # Errors
/// [`AccessError::Name`].
pub fn name(what: &'static str, name: &str) -> Result<(), AccessError> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = name.len() <= NAME_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| letter(byte) || b"._-".contains(&byte))
        && !RESERVED.contains(&name);
    if good { Ok(()) } else { Err(AccessError::Name(what)) }
}

/// Checks that a role and an organisation go together.
///
/// # Errors
/// [`AccessError`].
pub fn role(role: Role, customer: Option<&str>) -> Result<(), AccessError> {
    match (role, customer) {
        (Role::Controller, _) => Err(AccessError::Controller),
        (Role::Customer, None) => Err(AccessError::CustomerMissing),
        (Role::Customer, Some(name)) => {
            let good = (1..=NAME_MAX).contains(&name.chars().count())
                && name.trim() == name
                && !name.contains(char::is_control);
            if good { Ok(()) } else { Err(AccessError::Customer) }
        }
        (
            Role::Reviewer | Role::Operator | Role::Security | Role::Auditor | Role::Administrator,
            customer,
        ) => customer.map_or(Ok(()), |_| Err(AccessError::CustomerUnwanted)),
    }
}

/// Checks a scope.
///
/// # Errors
/// [`AccessError::EmptyScope`].
pub fn scope(scope: &Scope) -> Result<(), AccessError> {
    match scope {
        Scope::Groups(groups) if groups.is_empty() => Err(AccessError::EmptyScope),
        Scope::Groups(_) | Scope::Everything => Ok(()),
    }
}

/// When a token ends.
///
/// # Errors
/// [`AccessError::Days`].
pub fn token_end(now: Timestamp, days: Option<u32>) -> Result<Timestamp, AccessError> {
    let days = days.unwrap_or(TOKEN_DAYS);
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        return Err(AccessError::Days);
    }
    Ok(now.plus_ms(i64::from(days) * DAY_MS))
}

/// Checks a new password (GB/T 22239 8.1.4.1: complex enough).
///
/// # Errors
/// [`AccessError::Password`].
pub fn password(account: &str, password: &str) -> Result<(), AccessError> {
    let kinds: [fn(char) -> bool; 4] = [
        |letter| letter.is_lowercase(),
        |letter| letter.is_uppercase(),
        |letter| letter.is_numeric(),
        |letter| !letter.is_lowercase() && !letter.is_uppercase() && !letter.is_numeric(),
    ];
    let good = (PASSWORD_MIN..=PASSWORD_MAX).contains(&password.chars().count())
        && kinds.iter().filter(|kind| password.contains(**kind)).count() >= 3
        && !password.to_lowercase().contains(account);
    if good { Ok(()) } else { Err(AccessError::Password) }
}

/// Whether a session has ended.
#[must_use]
pub fn session_over(now: Timestamp, expires_at: Timestamp, used_at: Timestamp) -> bool {
    now >= expires_at || now.ms_since(used_at) >= SESSION_IDLE_MS
}

/// Whether a use is to be written down.
#[must_use]
pub fn is_news(now: Timestamp, used_at: Option<Timestamp>) -> bool {
    used_at.is_none_or(|used| now.ms_since(used) >= USE_STEP_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_no_names() {
        for good in ["zhang.wei", "ci-1", "a"] {
            assert_eq!(name("it", good), Ok(()), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "Zhang.wei", "zhang.wei ", "zh\u{430}ng", "1a", "init", "controller", &long]
        {
            assert!(name("it", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_long_and_mixed_and_not_the_name() {
        assert_eq!(password("li.na", "correct Horse 7"), Ok(()));
        for bad in ["Sh0rt!", "alllowercaseletters", "Li.na is number 1", &"aA1!".repeat(33)] {
            assert_eq!(password("li.na", bad), Err(AccessError::Password), "{bad}");
        }
    }

    #[test]
    fn a_token_has_an_end_within_the_maximum() {
        let now = Timestamp::from_unix_ms(0);
        assert_eq!(token_end(now, None), Ok(now.plus_ms(90 * DAY_MS)));
        assert_eq!(token_end(now, Some(366)), Ok(now.plus_ms(366 * DAY_MS)));
        for days in [0, 367, u32::MAX] {
            assert_eq!(token_end(now, Some(days)), Err(AccessError::Days));
        }
    }

    #[test]
    fn a_session_ends_by_age_and_by_rest() {
        let at = Timestamp::from_unix_ms;
        assert!(!session_over(at(10), at(20), at(5)));
        assert!(session_over(at(20), at(20), at(19)));
        assert!(session_over(at(SESSION_IDLE_MS), at(i64::MAX), at(0)));
    }

    #[test]
    fn a_scope_is_a_list_of_groups_or_nothing() {
        let scope: Scope = serde_json::from_str("[\"read\"]").expect("a scope");
        assert_eq!(scope, Scope::Groups(BTreeSet::from([Group::Read])));
        assert_eq!(serde_json::from_str::<Scope>("null").expect("a scope"), Scope::Everything);
        assert_eq!(serde_json::to_string(&Scope::Everything).expect("JSON"), "null");
        assert!(serde_json::from_str::<Scope>("[\"all\"]").is_err());
        for group in Group::ALL {
            assert_eq!(serde_json::to_value(group).expect("JSON"), group.as_str());
        }
    }
}
