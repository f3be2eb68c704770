//! Files to boot, named by what they are.

use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    os::unix::fs::MetadataExt,
    path::Path,
};

use sha2::{Digest as _, Sha256};
use tenure_protocol::digest::Digest;

use super::{VmmConfig, VmmFailure, on};

/// Opens an image file after reading all of it: its name is its SHA-256, and a file that was cut
/// short or replaced is not booted.
pub(super) fn open(config: &VmmConfig, image: Digest) -> Result<File, VmmFailure> {
    let path = config.image_dir.join(image.to_string());
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VmmFailure::ImageMissing { path });
        }
        Err(error) => return Err(on("open", &path)(error)),
    };
    let metadata = file.metadata().map_err(on("stat", &path))?;
    if !readable(&metadata, config) {
        return Err(VmmFailure::ImageUnreadable { path });
    }
    let found = digest(&mut file).map_err(on("read", &path))?;
    if found != image {
        return Err(VmmFailure::ImageDiffers { path, found });
    }
    file.rewind().map_err(on("rewind", Path::new(&path)))?;
    Ok(file)
}

/// Whether QEMU, which opens it once more through `/proc/self/fd`, may read it.
fn readable(metadata: &fs::Metadata, config: &VmmConfig) -> bool {
    let mode = metadata.mode();
    if metadata.uid() == config.uid {
        mode & 0o400 != 0
    } else if metadata.gid() == config.gid {
        mode & 0o040 != 0
    } else {
        mode & 0o004 != 0
    }
}

fn digest(file: &mut File) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest(hash.finalize().into())),
            count => hash.update(&buffer[..count]),
        }
    }
}
