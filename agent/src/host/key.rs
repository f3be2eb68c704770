//! Keys of volumes: files of their own, on this host alone, never copied and never escrowed.
//!
//! A key is a passphrase of 32 random bytes in hexadecimal. Its file takes one whole page, so that
//! it has a block of its own, which an overwrite in place reaches.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use tenure_protocol::id::VolumeId;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Length of a passphrase: 32 bytes in hexadecimal.
const PASSPHRASE_CHARS: usize = 64;

/// Size of a key's file, and of what one direct write to it overwrites.
const KEY_FILE_BYTES: usize = 4096;

/// What went wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFailure {
    /// A call on a file failed.
    #[error("cannot {act} {path}")]
    File {
        /// What was tried.
        act: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory that must be ours alone is not.
    #[error("{path} holds secrets and is open to others: chmod 0700 {path}")]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// The volume cannot be opened any more.
    #[error("volume {volume} has no key on this host: nothing can open it, wipe it")]
    Missing {
        /// Which.
        volume: VolumeId,
    },
    /// The key's file is damaged.
    #[error("{path} is no key: {PASSPHRASE_CHARS} hexadecimal digits were expected")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A key that was overwritten reads back as something else.
    #[error("{path} was overwritten, and does not read back as what was written")]
    Stays {
        /// The file.
        path: PathBuf,
    },
    /// The kernel gave no random bytes.
    #[error("the kernel gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// A volume's passphrase. Cleared from memory when dropped; never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

impl Passphrase {
    /// The passphrase, hexadecimal digits only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn random() -> Result<Self, KeyFailure> {
        let mut bytes = Zeroizing::new([0; PASSPHRASE_CHARS / 2]);
        getrandom::fill(bytes.as_mut()).map_err(KeyFailure::Random)?;
        Ok(Self(hex::encode(bytes.as_ref())))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// What became of a volume's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyErasure {
    /// Copies that were overwritten in place and read back. 0: the key was gone already, and
    /// whoever asks must know from its records that it was this host that destroyed it.
    pub copies: u32,
    /// Bytes that were overwritten.
    pub overwritten_bytes: u64,
}

/// The keys of a host's volumes.
#[derive(Debug, Clone)]
pub struct KeyStore {
    dir: PathBuf,
}

impl KeyStore {
    /// Keys in `dir`, which must be nobody else's (mode 0700).
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a volume's key, whether it exists or not.
    #[must_use]
    pub fn path(&self, volume: VolumeId) -> PathBuf {
        self.dir.join(format!("{volume}.key"))
    }

    /// Refuses a directory that others may look into.
    ///
    /// # Errors
    /// [`KeyFailure::Exposed`], or it is missing.
    pub fn check(&self) -> Result<(), KeyFailure> {
        let mode = fs::metadata(&self.dir).map_err(on("stat", &self.dir))?.mode();
        if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFailure::Exposed { path: self.dir.clone() }) }
    }

    /// The volume's passphrase.
    ///
    /// # Errors
    /// [`KeyFailure::Missing`] if it was destroyed or never existed.
    pub fn key(&self, volume: VolumeId) -> Result<Passphrase, KeyFailure> {
        let path = self.path(volume);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyFailure::Missing { volume });
            }
            Err(error) => return Err(on("open", &path)(error)),
        };
        let mut page = Zeroizing::new([0; PASSPHRASE_CHARS]);
        let read = file.read_exact(page.as_mut());
        if let Err(error) = read
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            return Err(on("read", &path)(error));
        }
        match std::str::from_utf8(page.as_ref()) {
            Ok(text) if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Passphrase(text.to_owned()))
            }
            Ok(_) | Err(_) => Err(KeyFailure::Damaged { path }),
        }
    }

    /// The key of a volume that is about to be made. One that is left from a half-made volume has
    /// encrypted nothing yet, and serves as well.
    pub fn ensure(&self, volume: VolumeId) -> Result<Passphrase, KeyFailure> {
        match self.key(volume) {
            Err(KeyFailure::Missing { .. }) => {}
            known => return known,
        }
        let key = Passphrase::random()?;
        let path = self.path(volume);
        let partial = path.with_extension("key.partial");
        let mut page = Zeroizing::new(vec![0; KEY_FILE_BYTES]);
        page[..PASSPHRASE_CHARS].copy_from_slice(key.0.as_bytes());
        remove(&partial)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&partial).map_err(on("create", &partial))?;
        file.write_all(&page).map_err(on("write", &partial))?;
        file.sync_all().map_err(on("sync", &partial))?;
        fs::rename(&partial, &path).map_err(on("rename", &partial))?;
        sync_dir(&self.dir)?;
        Ok(key)
    }

    /// Destroys every copy of the volume's key: [`Self::overwrite`], then [`Self::unlink`].
    ///
    /// # Errors
    /// See [`KeyFailure`]; the key may then still be there.
    pub fn erase(&self, volume: VolumeId) -> Result<KeyErasure, KeyFailure> {
        let facts = self.overwrite(volume)?;
        self.unlink(volume)?;
        Ok(facts)
    }

    /// Random bytes and then zeros over the blocks of every copy of the volume's key, each read
    /// back. The files stay, so that a caller who crashes before it has noted this does it again.
    ///
    /// # Errors
    /// See [`KeyFailure`]; the key may then still be there.
    pub fn overwrite(&self, volume: VolumeId) -> Result<KeyErasure, KeyFailure> {
        let mut facts = KeyErasure { copies: 0, overwritten_bytes: 0 };
        for path in self.copies(volume) {
            if path.try_exists().map_err(on("stat", &path))? {
                facts.overwritten_bytes += overwrite_key(&path)?;
                facts.copies += 1;
            }
        }
        Ok(facts)
    }

    /// Removes every copy of the volume's key, and looks that none is left.
    ///
    /// # Errors
    /// See [`KeyFailure`]; a file may then still be there.
    pub fn unlink(&self, volume: VolumeId) -> Result<(), KeyFailure> {
        for path in self.copies(volume) {
            remove(&path)?;
        }
        sync_dir(&self.dir)?;
        if self.is_gone(volume)? {
            Ok(())
        } else {
            Err(KeyFailure::Stays { path: self.path(volume) })
        }
    }

    /// Whether no copy of the volume's key has a name here.
    ///
    /// # Errors
    /// It cannot be seen.
    pub fn is_gone(&self, volume: VolumeId) -> Result<bool, KeyFailure> {
        for path in self.copies(volume) {
            if path.try_exists().map_err(on("stat", &path))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every name that a copy of the volume's key can have.
    #[must_use]
    pub fn copies(&self, volume: VolumeId) -> [PathBuf; 2] {
        let path = self.path(volume);
        [path.with_extension("key.partial"), path]
    }
}

/// A page that direct I/O may read and write.
#[repr(align(4096))]
struct Page([u8; KEY_FILE_BYTES]);

/// Overwrites a key's file in place and reads it back. Gives the number of bytes.
fn overwrite_key(path: &Path) -> Result<u64, KeyFailure> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let direct = options.clone().custom_flags(libc::O_DIRECT).open(path);
    // Memory file systems of older kernels know no direct access, and need none.
    let file = match direct {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => options.open(path),
        opened => opened,
    }
    .map_err(on("open", path))?;
    let length = file.metadata().map_err(on("stat", path))?.len();
    let pages = length.div_ceil(KEY_FILE_BYTES as u64).max(1);
    let mut noise = Page([0; KEY_FILE_BYTES]);
    getrandom::fill(&mut noise.0).map_err(KeyFailure::Random)?;
    for pattern in [&noise, &Page([0; KEY_FILE_BYTES])] {
        for page in 0..pages {
            let at = page * KEY_FILE_BYTES as u64;
            file.write_all_at(&pattern.0, at).map_err(on("overwrite", path))?;
        }
        file.sync_all().map_err(on("sync", path))?;
        for page in 0..pages {
            let mut back = Page([0xff; KEY_FILE_BYTES]);
            let at = page * KEY_FILE_BYTES as u64;
            file.read_exact_at(&mut back.0, at).map_err(on("read", path))?;
            if back.0 != pattern.0 {
                return Err(KeyFailure::Stays { path: path.to_owned() });
            }
        }
    }
    Ok(pages * KEY_FILE_BYTES as u64)
}

fn on<'a>(act: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> KeyFailure + 'a {
    move |source| KeyFailure::File { act, path: path.to_owned(), source }
}

fn remove(path: &Path) -> Result<(), KeyFailure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(on("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> Result<(), KeyFailure> {
    File::open(dir).and_then(|opened| opened.sync_all()).map_err(on("sync", dir))
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
