//! Why the engine did not do something.

use crate::{
    core::{access::SignInRefusal, letter::LettersError, refusal::Refusal},
    files::FilesError,
    ledger::LedgerError,
    secrets::SecretsError,
    store::StoreError,
};

/// Why the engine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The domain says no; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such thing.
    #[error("no {0} has this id")]
    NotFound(&'static str),
    /// Somebody else changed the tenant at the same time, too often in a row.
    #[error("the tenant is being changed by others; try again")]
    Conflict,
    /// The caller looked at another version of the tenant; nothing changed.
    #[error("the tenant is at version {0}: look at it again")]
    Version(u64),
    /// The change's key was used for another request; nothing changed.
    #[error("this Idempotency-Key was used for another request: choose a new key")]
    KeyTaken,
    /// The change was made before, and what came of it was a secret, which is not kept.
    #[error(
        "this was done before under the same Idempotency-Key, and its answer was a secret, which \\
         is not kept: make another one under a new key"
    )]
    SecretGone,
    /// The host may not take part any more, nor may its session go on. Why is not for its ears.
    #[error(
        "this host is blocked: ask the provider's administrators, whose list of hosts says why"
    )]
    Blocked,
    /// What a host or a caller handed in is not what it has to be.
    #[error("{0}")]
    Invalid(String),
    /// Somebody did not come in.
    #[error(transparent)]
    SignIn(#[from] SignInRefusal),
    /// A password or second factor could not be worked with.
    #[error("secrets failed")]
    Secrets(#[source] SecretsError),
    /// The words of the notices are not whole.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// The store of attachments failed, or did not get what it was to keep.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The system gave no random bytes; nothing changed.
    #[error("the system gave no random bytes")]
    Chance(#[from] getrandom::Error),
}
