//! The server of a faulty medium: a FUSE file system with one file.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::File,
    io::{self, BufRead as _, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context as _;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, WriteFlags,
};

use super::{Fault, FaultKind, READY, SECTOR};

/// The file's name.
pub(super) const FILE: &str = "medium";

const FILE_NUMBER: INodeNo = INodeNo(2);

/// How long the kernel may remember names and attributes, which never change.
const VALID: Duration = Duration::from_secs(3600);

/// Serves the file `raw` as the medium at `mount`, and takes faults from the standard input, until
/// that ends.
///
/// # Errors
/// If it cannot be mounted, or what is read are no faults.
pub fn serve(raw: &Path, mount: &Path) -> anyhow::Result<()> {
    let file = File::options().read(true).write(true).open(raw)?;
    let bytes = file.metadata()?.len();
    let medium =
        Medium { file, faults: Vec::new(), held: BTreeMap::new(), zeroed: BTreeSet::new() };
    let medium = Arc::new(Mutex::new(medium));
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("tenure-faulty-medium".to_owned())];
    let served = Served { bytes, medium: Arc::clone(&medium) };
    let session = fuser::Session::new(served, mount, &config).context("cannot mount")?;
    let _session = session.spawn()?;
    let mut output = io::stdout();
    writeln!(output, "{READY}")?;
    for line in io::stdin().lock().lines() {
        lock(&medium).set(serde_json::from_str(&line?)?)?;
        writeln!(output, "{READY}")?;
    }
    // Whatever the kernel still waits for fails now, with the descriptor closed.
    std::process::exit(0)
}

fn lock(medium: &Mutex<Medium>) -> MutexGuard<'_, Medium> {
    medium.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is stored, and what is wrong with it.
struct Medium {
    file: File,
    faults: Vec<Fault>,
    /// What sectors with [`FaultKind::StaleReads`] held when that began.
    held: BTreeMap<u64, Vec<u8>>,
    /// Sectors that [`FaultKind::ForgottenZeros`] took zeros for.
    zeroed: BTreeSet<u64>,
}

impl Medium {
    fn set(&mut self, faults: Vec<Fault>) -> io::Result<()> {
        self.held.clear();
        self.zeroed.clear();
        for fault in faults.iter().filter(|fault| fault.kind == FaultKind::StaleReads) {
            for sector in fault.first..fault.first + fault.sectors {
                let mut bytes = vec![0; SECTOR as usize];
                self.file.read_exact_at(&mut bytes, sector * SECTOR)?;
                self.held.insert(sector, bytes);
            }
        }
        self.faults = faults;
        Ok(())
    }

    /// What is wrong with a sector: the first fault that has it.
    fn fault(&self, sector: u64) -> Option<FaultKind> {
        let has = |fault: &&Fault| (fault.first..fault.first + fault.sectors).contains(&sector);
        self.faults.iter().find(has).map(|fault| fault.kind)
    }

    /// Whether anything is wrong in a range, bytes.
    fn is_sound(&self, offset: u64, length: usize) -> bool {
        let end = offset + length as u64;
        let apart = |fault: &Fault| {
            end <= fault.first * SECTOR || (fault.first + fault.sectors) * SECTOR <= offset
        };
        self.faults.iter().all(apart)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.is_sound(offset, data.len()) {
            return self.file.write_all_at(data, offset);
        }
        let sectors = || (offset / SECTOR..).zip(data.chunks(SECTOR as usize));
        if sectors().any(|(sector, _)| self.fault(sector) == Some(FaultKind::WriteError)) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        for (sector, bytes) in sectors() {
            let is_zeros = bytes.iter().all(|&byte| byte == 0);
            self.zeroed.remove(&sector);
            let stored_at = match self.fault(sector) {
                Some(FaultKind::LostWrites) => None,
                Some(FaultKind::ElidedZeros) => (!is_zeros).then_some(sector),
                Some(FaultKind::ForgottenZeros) if is_zeros => {
                    self.zeroed.insert(sector);
                    None
                }
                Some(FaultKind::Misdirected { by }) => sector.checked_add_signed(by),
                Some(
                    FaultKind::ForgottenZeros
                    | FaultKind::StaleReads
                    | FaultKind::ReadError
                    | FaultKind::WriteError,
                )
                | None => Some(sector),
            };
            if let Some(sector) = stored_at {
                self.file.write_all_at(bytes, sector * SECTOR)?;
            }
        }
        Ok(())
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        if self.is_sound(offset, length) {
            return Ok(bytes);
        }
        for (sector, bytes) in (offset / SECTOR..).zip(bytes.chunks_mut(SECTOR as usize)) {
            match self.fault(sector) {
                Some(FaultKind::ReadError) => return Err(io::Error::from_raw_os_error(libc::EIO)),
                Some(FaultKind::StaleReads) => {
                    if let Some(held) = self.held.get(&sector) {
                        bytes.copy_from_slice(held);
                    }
                }
                Some(FaultKind::ForgottenZeros) if self.zeroed.contains(&sector) => bytes.fill(0),
                Some(_) | None => {}
            }
        }
        Ok(bytes)
    }
}

/// The file system.
struct Served {
    bytes: u64,
    medium: Arc<Mutex<Medium>>,
}

impl Served {
    fn attributes(&self, number: INodeNo) -> FileAttr {
        let is_file = number == FILE_NUMBER;
        FileAttr {
            ino: number,
            size: if is_file { self.bytes } else { 0 },
            blocks: if is_file { self.bytes / SECTOR } else { 0 },
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// Whether a range is of whole sectors within the medium.
    fn has(&self, offset: u64, length: usize) -> bool {
        let end = offset.checked_add(length as u64);
        let whole = offset.is_multiple_of(SECTOR) && (length as u64).is_multiple_of(SECTOR);
        whole && end.is_some_and(|end| end <= self.bytes)
    }
}

impl Filesystem for Served {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == FILE {
            reply.entry(&VALID, &self.attributes(FILE_NUMBER), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&VALID, &self.attributes(number));
    }

    fn open(&self, _: &Request, _number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let found = lock(&self.medium).read(offset, left.min(size as usize));
        match found {
            Ok(bytes) => reply.data(&bytes),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let done = if self.has(offset, data.len()) {
            lock(&self.medium).write(offset, data)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        };
        match (done, u32::try_from(data.len())) {
            (Ok(()), Ok(count)) => reply.written(count),
            (Ok(()), Err(_)) | (Err(_), _) => reply.error(Errno::EIO),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _data: bool, reply: ReplyEmpty) {
        reply.ok();
    }
}
