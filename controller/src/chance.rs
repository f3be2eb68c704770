//! The only place of the engine that draws chance: for ids, nonces, salts and secrets.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sha2::{Digest as _, Sha256};

/// A source of chance. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Chance(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    Replayed(Arc<AtomicU64>),
}

impl Chance {
    /// The same draws in every run, which anybody can foretell: for tests and simulations alone.
    #[must_use]
    pub fn replayed() -> Self {
        Self(Source::Replayed(Arc::default()))
    }

    /// 32 bytes.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn draw(&self) -> Result<[u8; 32], getrandom::Error> {
        match &self.0 {
            Source::System => {
                let mut bytes = [0; 32];
                getrandom::fill(&mut bytes)?;
                Ok(bytes)
            }
            Source::Replayed(drawn) => {
                let number = drawn.fetch_add(1, Ordering::SeqCst);
                Ok(Sha256::digest(number.to_be_bytes()).into())
            }
        }
    }
}
