//! How a change is asked for: by whom, on which version, and under which key, so that a change
//! that comes twice is made once.
//!
//! ```text
//!  no key ───────────────────────────────→ made
//!  key unknown ──────────────────────────→ made, and kept under the key in one transaction
//!  key known ─┬─ same request ───────────→ the first outcome again; nothing is made
//!             ├─ same, outcome a secret ─→ refused: secrets are not kept
//!             └─ another request ────────→ refused: the key is taken
//! ```
//! A crash between the commit and the answer leaves the key with the outcome: whoever asks again
//! gets it. What was refused is not kept: nothing was made.

use serde::{Serialize, de::DeserializeOwned};

use super::{Engine, EngineError};
use crate::{
    core::lifecycle::Actor,
    store::{self, ChangeKey, Tx},
};

/// A key is kept for this long, ms: a day, longer than any client tries.
pub const KEY_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// A change, asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// By whom.
    pub actor: Actor,
    /// On which versions of the tenant.
    pub expected: Expected,
    /// Under which key; nothing if a second one is a second change.
    pub key: Option<ChangeKey>,
}

/// The versions of a tenant that a change is meant for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing was said about it.
    #[default]
    Unsaid,
    /// Whichever it is at.
    Any,
    /// One of these.
    OneOf(Vec<u64>),
}

impl Expected {
    pub(super) fn admits(&self, version: u64) -> bool {
        match self {
            Self::Unsaid | Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

impl From<Actor> for Call {
    fn from(actor: Actor) -> Self {
        Self { actor, expected: Expected::Unsaid, key: None }
    }
}

impl Engine {
    /// What came of this change, if it was made before.
    pub(super) async fn recall<T: DeserializeOwned>(
        &self,
        tx: &mut Tx,
        key: Option<&ChangeKey>,
    ) -> Result<Option<T>, EngineError> {
        let Some(key) = key else { return Ok(None) };
        let Some(made) = store::change_made(tx, key, self.inner.clock.now()).await? else {
            return Ok(None);
        };
        if made.request != key.request {
            return Err(EngineError::KeyTaken);
        }
        let outcome = made.outcome.ok_or(EngineError::SecretGone)?;
        let outcome = serde_json::from_str(&outcome)
            .map_err(|error| store::unreadable("change_keys", error.to_string()))?;
        Ok(Some(outcome))
    }

    /// Keeps what came of a change under its key; nothing of it if that is a secret.
    pub(super) async fn keep<T: Serialize>(
        &self,
        tx: &mut Tx,
        key: Option<&ChangeKey>,
        outcome: Option<&T>,
    ) -> Result<(), EngineError> {
        let Some(key) = key else { return Ok(()) };
        let outcome = outcome.map(serde_json::to_string).transpose();
        let outcome =
            outcome.map_err(|error| store::unreadable("change_keys", error.to_string()))?;
        let now = self.inner.clock.now();
        store::sweep_changes(tx, now).await?;
        let until = now.plus_ms(KEY_KEPT_MS);
        Ok(store::keep_change(tx, key, outcome.as_deref(), until).await?)
    }
}
