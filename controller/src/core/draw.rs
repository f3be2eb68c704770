//! Ids, nonces and salts without randomness in core: drawn from a seed that the engine gives, so
//! that the same event under the same seed gives the same state.

use sha2::{Digest as _, Sha256};
use tenure_protocol::time::Timestamp;
use uuid::{Builder, Uuid};

/// A source of unique values.
#[derive(Debug, Clone)]
pub struct Draw {
    seed: [u8; 32],
    drawn: u64,
    at: Timestamp,
}

impl Draw {
    /// A source for one transition. `seed` must be fresh; `at` is real time, for version 7 ids.
    #[must_use]
    pub const fn new(seed: [u8; 32], at: Timestamp) -> Self {
        Self { seed, drawn: 0, at }
    }

    /// 32 bytes that nobody can foresee without the seed.
    pub fn bytes(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.wrapping_add(1);
        Sha256::new()
            .chain_update(b"tenure/draw/v1\0")
            .chain_update(self.seed)
            .chain_update(self.drawn.to_be_bytes())
            .finalize()
            .into()
    }

    /// A UUID of version 7 (RFC 9562).
    pub fn uuid(&mut self) -> Uuid {
        let bytes = self.bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&bytes[..10]);
        let ms = u64::try_from(self.at.unix_ms()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(ms, &tail).into_uuid()
    }
}
