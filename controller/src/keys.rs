//! The controller's own signing keys. The ledger's key is the ledger's.

use ed25519_dalek::SigningKey;

/// The keys that the engine signs with.
pub struct Keys {
    /// Signs orders; the hosts pin its public half.
    pub order: SigningKey,
    /// Signs notification and exit statements.
    pub attestation: SigningKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}
