//! Plans and verdicts of wipes.
