//! Which reports end an order of the cut lane: those that the host's key signed, and no others.
//! Whoever owns a host's network side could say that a cut failed, and have it called void although
//! it was made; what is not signed leaves the order open, and the host's own word is waited for.

use ed25519_dalek::Signature;
use tenure_protocol::wire::v1::{Lane, OrderState, unmade_message};

use super::{Known, Reported};

/// Why a report is no end of its order, as a sentence, if it is none. What is said to be done is
/// judged by its statements ([`check_outcome`]).
pub(super) fn check(known: &Known, state: &OrderState) -> Result<(), String> {
    if is_signed(known, state) { Ok(()) } else { refuse(known) }
}

/// The same of what a report of an outcome comes to by the statements that hold.
pub(super) fn check_outcome(known: &Known, reported: &Reported) -> Result<(), String> {
    if matches!(reported, Reported::Failed { .. }) { refuse(known) } else { Ok(()) }
}

/// Refuses an end of an order of the cut lane.
fn refuse(known: &Known) -> Result<(), String> {
    let record = &known.record;
    if record.lane != Lane::Cut {
        return Ok(());
    }
    tracing::error!(host = %record.host, order = %record.id, tenant = %record.tenant,
        "an end of a cut or restore that the host's key did not sign: the order stays open; look \
         at the host");
    Err("the end of a cut or restore counts by the host key's signature alone".to_owned())
}

fn is_signed(known: &Known, state: &OrderState) -> bool {
    match state {
        OrderState::Unmade { refused, code, message, signature, .. } => {
            let said = unmade_message(&known.signed.digest(), *refused, code, message);
            let key = known.key.verifying_key();
            let signature = Signature::from_slice(signature);
            signature.is_ok_and(|signature| key.verify_strict(&said, &signature).is_ok())
        }
        // No order of this lane has an intent.
        OrderState::Failed { .. } | OrderState::Refused { .. } | OrderState::Intent { .. } => false,
        OrderState::Done { .. }
        | OrderState::Journalled
        | OrderState::Started
        | OrderState::Progress(_)
        | OrderState::Local { .. } => true,
    }
}
