//! Volumes: LUKS1 containers in files or on block devices, each with a random key that exists on
//! this host alone.
//!
//! ```text
//! absent ──key written──> keyed ──qemu-img──> half made ──synced, renamed──> complete
//!                           ▲    (<id>.luks.partial)  │                       (<id>.luks)
//!                           └────removed at the next create┘
//! ```
//!
//! Where devices are set aside for volumes, a volume is one of them ([`Pool`]), and a record of it
//! stands in the place of the file.
//!
//! absent: no file. keyed: the key is durable, and nothing is encrypted with it yet. half made: a
//! container that may lack anything; never opened, made again. complete: never made again and never
//! overwritten here, since it may hold data.
//!
//! The passphrase is random, so stretching adds nothing to it, and `iter-time` is the least.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tenure_protocol::id::VolumeId;

use super::{
    disk::BlockDevice,
    key::{KeyErasure, KeyFailure, KeyStore, Passphrase},
    pool::{Pool, PoolFailure},
    process::{Invocation, ProcessFailure},
};
use crate::core::machine::Backing;

/// How long `qemu-img` may take: deriving a key slot takes seconds on a slow processor.
const QEMU_IMG_LIMIT: Duration = Duration::from_secs(120);

/// How often it is tried.
const QEMU_IMG_TRIES: u32 = 4;

/// The start of a LUKS1 header (LUKS On-Disk Format Specification 1.2.3, figure 1).
const LUKS1_MAGIC: &[u8; 8] = b"LUKS\xba\xbe\x00\x01";

/// Where the header says at which 512-byte sector the payload begins (u32, big endian).
const LUKS1_PAYLOAD_OFFSET_AT: usize = 104;

/// Where the cipher's name and mode lie, each 32 bytes, ended by a zero.
const LUKS1_CIPHER_AT: usize = 8;
const LUKS1_MODE_AT: usize = 40;

/// Where the header says how many bytes the volume's key has (u32, big endian).
const LUKS1_KEY_BYTES_AT: usize = 108;

/// As much of the header as is looked at.
const LUKS1_HEAD_BYTES: usize = 112;

/// What went wrong with a volume or its key.
#[derive(Debug, thiserror::Error)]
pub enum VolumeFailure {
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
    /// `qemu-img` is missing or failed.
    #[error("cannot make volume {volume}")]
    Create {
        /// Which.
        volume: VolumeId,
        /// Why.
        #[source]
        source: ProcessFailure,
    },
    /// `qemu-img` could not be asked.
    #[error("cannot try to open volume {volume}")]
    Probe {
        /// Which.
        volume: VolumeId,
        /// Why.
        #[source]
        source: ProcessFailure,
    },
    /// The file has another size than was ordered.
    #[error(
        "volume {volume} has {found} bytes on this host and {wanted} are ordered: wipe it first"
    )]
    SizeDiffers {
        /// Which.
        volume: VolumeId,
        /// Size that the guest sees, bytes.
        found: u64,
        /// Size that was ordered, bytes.
        wanted: u64,
    },
    /// The file begins otherwise than a LUKS1 container.
    #[error("{path} has no LUKS1 header: it was wiped, or is no volume")]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyFailure),
    /// Its device.
    #[error(transparent)]
    Pool(#[from] PoolFailure),
}

/// Where a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or what leads to the device.
    pub path: PathBuf,
    /// The device, if it is one.
    pub device: Option<BlockDevice>,
}

/// A complete volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFile {
    /// The container.
    pub path: PathBuf,
    /// Bytes of header and key slots before the payload.
    pub header_bytes: u64,
    /// Size that the guest sees, bytes.
    pub size_bytes: u64,
    /// What the header says of the cipher, such as `luks1/aes-256-xts-plain64`.
    pub encryption: String,
}

/// The volumes of a host.
#[derive(Debug, Clone)]
pub struct VolumeStore {
    volume_dir: PathBuf,
    pool: Pool,
    keys: KeyStore,
    qemu_img: PathBuf,
}

impl VolumeStore {
    /// Volumes on `devices`, or in `volume_dir` if there are none; their keys in `key_dir`;
    /// `qemu_img` is the program, by name or path.
    #[must_use]
    pub fn new(volume_dir: &Path, devices: &[PathBuf], key_dir: &Path, qemu_img: &Path) -> Self {
        Self {
            volume_dir: volume_dir.to_owned(),
            pool: Pool::new(devices, volume_dir),
            keys: KeyStore::new(key_dir),
            qemu_img: qemu_img.to_owned(),
        }
    }

    /// The file of a complete volume, whether it exists or not.
    fn path(&self, volume: VolumeId) -> PathBuf {
        self.volume_dir.join(format!("{volume}.luks"))
    }

    /// Where a volume is: on its device if it has one, else where its file is or would be.
    ///
    /// # Errors
    /// The device is gone, or its record cannot be read.
    pub fn place(&self, volume: VolumeId) -> Result<Place, VolumeFailure> {
        Ok(match self.pool.slot(volume)? {
            Some((slot, _)) => Place { path: slot.device.path.clone(), device: Some(slot.device) },
            None => Place { path: self.path(volume), device: None },
        })
    }

    /// Whether a volume is complete.
    ///
    /// # Errors
    /// As [`VolumeStore::place`].
    pub fn is_complete(&self, volume: VolumeId) -> Result<bool, VolumeFailure> {
        let slot = self.pool.slot(volume)?;
        Ok(slot.is_some_and(|(_, complete)| complete) || exists(&self.path(volume))?)
    }

    /// What QEMU is told of where a volume is.
    ///
    /// # Errors
    /// As [`VolumeStore::place`].
    pub fn backing(&self, volume: VolumeId) -> Result<Backing, VolumeFailure> {
        let slot = self.pool.slot(volume)?;
        let of = |size_bytes| Backing::Device { size_bytes };
        Ok(slot.map_or(Backing::File, |(slot, _)| of(slot.size_bytes)))
    }

    /// The file of a volume's key, whether it exists or not.
    #[must_use]
    pub fn key_path(&self, volume: VolumeId) -> PathBuf {
        self.keys.path(volume)
    }

    fn partial_path(&self, volume: VolumeId) -> PathBuf {
        self.volume_dir.join(format!("{volume}.luks.partial"))
    }

    /// Makes a volume of `size_bytes`, durably. One that is complete already is kept; one that is
    /// half made is made again.
    ///
    /// # Errors
    /// See [`VolumeFailure`]. A volume without its key is never made again: it may hold data.
    pub fn create(&self, volume: VolumeId, size_bytes: u64) -> Result<VolumeFile, VolumeFailure> {
        self.keys.check()?;
        if self.is_complete(volume)? {
            let found = self.describe(volume)?;
            self.keys.key(volume)?;
            return if found.size_bytes == size_bytes {
                Ok(found)
            } else {
                let found = found.size_bytes;
                Err(VolumeFailure::SizeDiffers { volume, found, wanted: size_bytes })
            };
        }
        if !self.pool.is_empty() {
            return self.create_on_device(volume, size_bytes);
        }
        let (path, partial) = (self.path(volume), self.partial_path(volume));
        remove(&partial)?;
        let key = self.keys.ensure(volume)?;
        self.qemu_img_create(volume, &partial, size_bytes, &key)?;
        let file = File::open(&partial).map_err(on("open", &partial))?;
        file.sync_all().map_err(on("sync", &partial))?;
        fs::rename(&partial, &path).map_err(on("rename", &partial))?;
        sync_dir(&self.volume_dir)?;
        self.describe(volume)
    }

    fn create_on_device(
        &self,
        volume: VolumeId,
        size_bytes: u64,
    ) -> Result<VolumeFile, VolumeFailure> {
        let slot = match self.pool.slot(volume)? {
            Some((slot, _)) if slot.size_bytes == size_bytes => slot,
            Some(_) | None => {
                self.pool.release_partial(volume)?;
                self.pool.take(volume, size_bytes)?
            }
        };
        let key = self.keys.ensure(volume)?;
        let path = &slot.device.path;
        // Held meanwhile: nobody mounts it, and its node stays its own.
        let claimed = slot.device.claim().map_err(on("claim", path))?;
        self.qemu_img_create(volume, path, size_bytes, &key)?;
        claimed.sync_all().map_err(on("sync", path))?;
        self.pool.complete(volume)?;
        self.describe(volume)
    }

    /// Runs `qemu-img` until it makes the container. It measures its own CPU time to choose the
    /// number of iterations, and fails where the kernel's clock is too coarse for the part of a
    /// second that this takes: SHA-512, the slower hash, makes that rare, and a new try mends it.
    fn qemu_img_create(
        &self,
        volume: VolumeId,
        path: &Path,
        size_bytes: u64,
        key: &Passphrase,
    ) -> Result<(), VolumeFailure> {
        let mut options = "key-secret=key,iter-time=10,cipher-alg=aes-256,cipher-mode=xts,\
                           ivgen-alg=plain64,hash-alg=sha512"
            .to_owned();
        let is_file = path == self.partial_path(volume);
        if is_file {
            options += ",preallocation=falloc";
        }
        let size = size_bytes.to_string();
        let mut argv = vec![self.qemu_img.as_os_str()];
        argv.extend(["create", "-q", "-f", "luks", "--object", SECRET_FROM_STDIN].map(OsStr::new));
        argv.extend(["-o", &options].map(OsStr::new));
        argv.extend([path.as_os_str(), OsStr::new(&size)]);
        let mut tries = 0;
        loop {
            tries += 1;
            let made =
                Invocation::new(&argv).stdin(key.reveal().as_bytes()).limit(QEMU_IMG_LIMIT).run();
            let Err(source) = made else { return Ok(()) };
            if is_file {
                // What is left is removed at the next create as well; this frees its space at once.
                let _ = remove(path);
            }
            if tries == QEMU_IMG_TRIES || !matches!(source, ProcessFailure::Status { .. }) {
                return Err(VolumeFailure::Create { volume, source });
            }
        }
    }

    /// What a complete volume is, by its header. Overwriting header and key slots makes it
    /// unopenable, key or not.
    ///
    /// # Errors
    /// It does not exist, or has no header any more.
    pub fn describe(&self, volume: VolumeId) -> Result<VolumeFile, VolumeFailure> {
        let slot = self.pool.slot(volume)?;
        let path =
            slot.as_ref().map_or_else(|| self.path(volume), |(at, _)| at.device.path.clone());
        let mut file = File::open(&path).map_err(on("open", &path))?;
        let length = match &slot {
            Some((slot, _)) => slot.device.bytes,
            None => file.metadata().map_err(on("stat", &path))?.len(),
        };
        let mut head = [0; LUKS1_HEAD_BYTES];
        let header_bytes = match file.read_exact(&mut head) {
            Ok(()) => payload_offset(&head).filter(|offset| *offset <= length),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(on("read", &path)(error)),
        };
        match header_bytes {
            Some(header_bytes) => Ok(VolumeFile {
                path,
                header_bytes,
                size_bytes: slot.map_or(length - header_bytes, |(slot, _)| slot.size_bytes),
                encryption: encryption(&head),
            }),
            None => Err(VolumeFailure::NoHeader { path }),
        }
    }

    /// Opens a complete volume for QEMU: readable, writable, past the page cache; a device claimed.
    ///
    /// # Errors
    /// It does not exist, its file system knows no `O_DIRECT`, or its device is in use.
    pub fn open(&self, volume: VolumeId) -> Result<File, VolumeFailure> {
        let Place { path, device } = self.place(volume)?;
        if let Some(device) = device {
            return device.claim().map_err(on("claim", &path));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_DIRECT);
        options.open(&path).map_err(on("open for direct access", &path))
    }

    /// The volume's passphrase.
    ///
    /// # Errors
    /// [`KeyFailure::Missing`] if it was destroyed or never existed.
    pub fn key(&self, volume: VolumeId) -> Result<Passphrase, VolumeFailure> {
        Ok(self.keys.key(volume)?)
    }

    /// Destroys every copy of the volume's key.
    ///
    /// # Errors
    /// The key may then still be there.
    pub fn erase_key(&self, volume: VolumeId) -> Result<KeyErasure, VolumeFailure> {
        Ok(self.keys.erase(volume)?)
    }

    /// The directory of keys, to destroy one step by step.
    #[must_use]
    pub const fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// Whether `key` opens the volume, by QEMU's own code: a wiped one opens with no key.
    ///
    /// # Errors
    /// The file cannot be read, or `qemu-img` cannot be run: then nothing is known.
    pub fn opens(&self, volume: VolumeId, key: &Passphrase) -> Result<bool, VolumeFailure> {
        let Place { path, device } = self.place(volume)?;
        File::open(&path).map_err(on("open", &path))?;
        let image = format!(
            "driver=luks,key-secret=key,file.driver={},file.filename={}",
            if device.is_some() { "host_device" } else { "file" },
            path.display().to_string().replace(',', ",,")
        );
        let mut argv = vec![self.qemu_img.as_os_str()];
        // `info` would not try the key. --force-share: a guest may have the volume open for
        // writing, and a look does no harm.
        argv.extend(["map", "--force-share", "--output=json"].map(OsStr::new));
        argv.extend(["--object", SECRET_FROM_STDIN].map(OsStr::new));
        argv.extend(["--image-opts", &image].map(OsStr::new));
        match Invocation::new(&argv).stdin(key.reveal().as_bytes()).limit(QEMU_IMG_LIMIT).run() {
            Ok(_) => Ok(true),
            Err(ProcessFailure::Status { status, .. }) if status.code() == Some(1) => Ok(false),
            Err(source) => Err(VolumeFailure::Probe { volume, source }),
        }
    }

    /// Every volume that has a file, the record of a device or a key on this host, half-made ones
    /// too, in order.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn list(&self) -> Result<Vec<VolumeId>, VolumeFailure> {
        let mut found = Vec::new();
        for dir in [self.volume_dir.as_path(), self.keys.dir()] {
            for entry in fs::read_dir(dir).map_err(on("read", dir))? {
                let name = entry.map_err(on("read", dir))?.file_name();
                let name = name.to_string_lossy();
                let stem = name.split('.').next().unwrap_or_default();
                found.extend(stem.parse::<VolumeId>().ok());
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Removes what a half-made volume left. It never held a guest's data.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_partial(&self, volume: VolumeId) -> Result<(), VolumeFailure> {
        self.pool.release_partial(volume)?;
        remove(&self.partial_path(volume))?;
        sync_dir(&self.volume_dir)
    }

    /// Removes a volume that was wiped: its file, or the record of its device, which is free then.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, volume: VolumeId) -> Result<(), VolumeFailure> {
        self.remove_partial(volume)?;
        self.pool.release(volume)?;
        remove(&self.path(volume))?;
        sync_dir(&self.volume_dir)
    }
}

/// How `qemu-img` gets a passphrase: never in argv.
const SECRET_FROM_STDIN: &str = "secret,id=key,format=raw,file=/proc/self/fd/0";

fn payload_offset(head: &[u8; LUKS1_HEAD_BYTES]) -> Option<u64> {
    if !head.starts_with(LUKS1_MAGIC) {
        return None;
    }
    Some(u64::from(number(head, LUKS1_PAYLOAD_OFFSET_AT)) * 512)
}

/// The cipher as it is usually written: of XTS, half the key's bits count.
fn encryption(head: &[u8; LUKS1_HEAD_BYTES]) -> String {
    let text = |at: usize| {
        let field = &head[at..at + 32];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    };
    let (cipher, mode) = (text(LUKS1_CIPHER_AT), text(LUKS1_MODE_AT));
    let bits = u64::from(number(head, LUKS1_KEY_BYTES_AT)) * 8;
    let bits = if mode.starts_with("xts") { bits / 2 } else { bits };
    format!("luks1/{cipher}-{bits}-{mode}")
}

fn number(head: &[u8; LUKS1_HEAD_BYTES], at: usize) -> u32 {
    head[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn on<'a>(act: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> VolumeFailure + 'a {
    move |source| VolumeFailure::File { act, path: path.to_owned(), source }
}

fn exists(path: &Path) -> Result<bool, VolumeFailure> {
    path.try_exists().map_err(on("stat", path))
}

fn remove(path: &Path) -> Result<(), VolumeFailure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(on("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> Result<(), VolumeFailure> {
    File::open(dir).and_then(|opened| opened.sync_all()).map_err(on("sync", dir))
}

#[cfg(test)]
#[path = "volume_tests.rs"]
mod tests;
