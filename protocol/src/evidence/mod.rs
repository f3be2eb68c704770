//! What is signed, logged and verified offline.
