//! Files that matter: written beside, synced, renamed, and the directory synced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A file that cannot be written or a directory that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
pub struct FileFailure {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Puts `bytes` in place of what is at `path`, mode 0600, owned by `owner` (user and group) if one
/// is given.
///
/// # Errors
/// [`FileFailure`]; the old file is untouched then.
pub fn replace(path: &Path, bytes: &[u8], owner: Option<(u32, u32)>) -> Result<(), FileFailure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let write = || -> io::Result<()> {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| FileFailure { path: path.to_owned(), source })
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// It cannot be read, or is longer ([`io::ErrorKind::FileTooLarge`]).
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let sentence = format!("it is over {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, sentence));
    }
    Ok(bytes)
}

/// Makes a directory with this mode, or gives an existing one this mode.
///
/// # Errors
/// [`FileFailure`].
pub fn directory(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<(), FileFailure> {
    let make = || -> io::Result<()> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(path, Some(user), Some(group))?;
        }
        Ok(())
    };
    make().map_err(|source| FileFailure { path: path.to_owned(), source })
}
