//! The test guest's image: built once by `packaging/guest/build`, then found again.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;
use tenure_protocol::digest::Digest;

use super::daemon::run;

/// An image that hosts can boot.
#[derive(Debug, Clone, Deserialize)]
pub struct Image {
    /// Its name in the controller's catalogue.
    pub name: String,
    /// The kernel.
    pub kernel: Digest,
    /// The initial RAM file system.
    pub initrd: Digest,
    /// The kernel's command line, without `ip=`.
    pub cmdline: String,
    /// The directory of both files, which are named by their digests.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// The controller's catalogue, as the build writes it.
#[derive(Debug, Deserialize)]
struct Catalogue {
    image: Vec<Image>,
}

/// The test guest's image, built first if it is not there.
///
/// # Errors
/// If it cannot be built: the build says what is missing.
pub fn image() -> anyhow::Result<Image> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let dir = workspace.join("target/guest");
    let catalogue = dir.join("image.toml");
    if !catalogue.exists() {
        let build = workspace.join("packaging/guest/build");
        run(&[&build.to_string_lossy(), &dir.to_string_lossy()])?;
    }
    let text = fs::read_to_string(&catalogue)
        .with_context(|| format!("cannot read {}", catalogue.display()))?;
    let read: Catalogue =
        toml::from_str(&text).with_context(|| format!("cannot read {}", catalogue.display()))?;
    let image = read.image.into_iter().next().context("the catalogue holds no image")?;
    Ok(Image { dir, ..image })
}

impl Image {
    /// The same image in a directory of its own, where QEMU's user can read it: see [`lay`].
    ///
    /// # Errors
    /// If a file cannot be copied.
    pub fn laid(self, dir: PathBuf) -> anyhow::Result<Self> {
        lay_image(&self.dir, &dir)?;
        Ok(Self { dir, ..self })
    }
}

/// Lays a directory of images into another: see [`lay`].
pub(super) fn lay_image(from: &Path, to: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
    lay(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()), to, 0o644)
}

/// Copies files into a new directory that every user can reach, as a package would: agent and QEMU
/// run as users of their own, and the build may be in somebody's home.
pub(super) fn lay(
    files: impl IntoIterator<Item = PathBuf>,
    dir: &Path,
    mode: u32,
) -> anyhow::Result<()> {
    fs::create_dir(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for file in files {
        let to = dir.join(file.file_name().context("a file without a name")?);
        fs::copy(&file, &to).with_context(|| format!("cannot copy {}", file.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
