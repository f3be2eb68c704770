//! What is signed, logged and verified offline.
//!
//! ```text
//! measured facts → predicate (its conclusion is computed) → Statement → DSSE envelope
//!        envelope's digest → ledger entry → Merkle tree → checkpoint (signed note)
//!        envelopes + entries + proofs + checkpoint + signed manifest → bundle → verdict
//! ```

pub mod key;
pub mod predicate;
pub mod statement;

pub mod dsse;

pub mod entry;
pub mod merkle;
pub mod note;

pub mod anchors;
pub mod archive;
pub mod bundle;
pub mod verify;
