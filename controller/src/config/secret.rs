//! Secrets that stand alone in files, which the configuration names.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

use tenure_protocol::channel::Secret;
use zeroize::Zeroizing;

/// Bytes that are read of such a file.
const MAX_SECRET_BYTES: u64 = 4096;

/// The secret that stands alone in a file which nobody else may read.
///
/// # Errors
/// What is wrong with the file, as a sentence that begins with its name.
pub fn read(path: &Path) -> Result<Secret, String> {
    let wrong = |reason: &str| format!("{}: {reason}", path.display());
    let read = |error: std::io::Error| wrong(&error.to_string());
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others may read it: chmod 600 it"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(read)?;
    match text.trim() {
        "" => Err(wrong("give the secret, alone")),
        secret => Ok(Secret::new(secret)),
    }
}
