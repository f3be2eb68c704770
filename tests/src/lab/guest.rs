//! The test guest's image: built once by `packaging/guest/build`, then found again.

use std::{
    fs,
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
