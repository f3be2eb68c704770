//! Configuration: one TOML file per process, named on the command line. Unknown keys are refused,
//! so that a mistyped one is not silently the default.

use std::{
    io,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{file, host::qemu::AcceleratorSetting};

/// Most bytes of a configuration, or of what a join leaves.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFailure {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: name an existing file with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no configuration.
    #[error("the configuration {path} is not usable: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// How to log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Configuration of tenure-hostd.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostdConfig {
    /// Journals, host key and pins; 0700.
    #[serde(default = "hostd_state_dir")]
    pub state_dir: PathBuf,
    /// The socket for tenure-agent, and instances' run directories; 0711.
    #[serde(default = "run_dir")]
    pub run_dir: PathBuf,
    /// Guests' memory: a dedicated tmpfs or hugetlbfs, 0700.
    #[serde(default = "ram_dir")]
    pub ram_dir: PathBuf,
    /// Volumes: on ext4 or XFS.
    #[serde(default = "volume_dir")]
    pub volume_dir: PathBuf,
    /// Block devices for volumes, one each; if there are any, volumes are no files.
    #[serde(default)]
    pub volume_devices: Vec<PathBuf>,
    /// Most MiB a second that the wipe of a volume writes or reads; no limit if it is not said.
    #[serde(default)]
    pub wipe_mib_per_s: Option<NonZeroU32>,
    /// Volumes' keys; 0700, on a file system that is overwritten in place (ext4 or XFS).
    #[serde(default = "key_dir")]
    pub key_dir: PathBuf,
    /// Kernels and initial RAM file systems, named by their SHA-256.
    #[serde(default = "image_dir")]
    pub image_dir: PathBuf,
    /// State directory of tenure-agent: `join` leaves there what the network side needs.
    #[serde(default = "agent_state_dir")]
    pub agent_state_dir: PathBuf,
    /// User of tenure-agent: the only one that its socket answers.
    pub agent_uid: u32,
    /// Group of tenure-agent: of the socket.
    pub agent_gid: u32,
    /// Group whose members may cut tenants on this host without a controller; root's alone if it is
    /// not said. Neither tenure-agent's user nor the machines' may, whatever their groups.
    #[serde(default)]
    pub operators_gid: u32,
    /// User of the machines' processes; no other process may run as it.
    pub vmm_uid: u32,
    /// Group of the machines' processes.
    pub vmm_gid: u32,
    /// QEMU.
    #[serde(default = "qemu")]
    pub qemu: PathBuf,
    /// qemu-img.
    #[serde(default = "qemu_img")]
    pub qemu_img: PathBuf,
    /// What guests are accelerated with.
    #[serde(default)]
    pub accelerator: AcceleratorSetting,
    /// tracing-subscriber's filter, such as `info` or `info,tenure_agent::engine=debug`.
    #[serde(default = "log")]
    pub log: String,
    /// How to log.
    #[serde(default)]
    pub log_format: LogFormat,
}

/// Configuration of tenure-agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// TLS key and certificate, and what `tenure-hostd join` left; 0700.
    #[serde(default = "agent_state_dir")]
    pub state_dir: PathBuf,
    /// The socket of tenure-hostd.
    #[serde(default = "socket")]
    pub socket: PathBuf,
    /// The socket of tenure-hostd for this host's operators: what `tenure-agent cut` speaks to.
    #[serde(default = "operator_socket")]
    pub operator_socket: PathBuf,
    /// tracing-subscriber's filter.
    #[serde(default = "log")]
    pub log: String,
    /// How to log.
    #[serde(default)]
    pub log_format: LogFormat,
}

impl HostdConfig {
    /// Instances' run directories.
    #[must_use]
    pub fn instances_dir(&self) -> PathBuf {
        self.run_dir.join("instances")
    }

    /// Most bytes a second of a volume's wipe.
    #[must_use]
    pub fn wipe_bytes_per_s(&self) -> Option<NonZeroU64> {
        let mib = self.wipe_mib_per_s?;
        NonZeroU64::new(u64::from(mib.get()) << 20)
    }

    /// The socket for tenure-agent.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("hostd.sock")
    }

    /// The socket for this host's operators.
    #[must_use]
    pub fn operator_socket(&self) -> PathBuf {
        self.run_dir.join("operator.sock")
    }
}

/// Reads a configuration.
///
/// # Errors
/// [`ConfigFailure`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigFailure> {
    let failed = |source| ConfigFailure::Read { path: path.to_owned(), source };
    let bytes = file::read_limited(path, MAX_CONFIG_BYTES).map_err(failed)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))?;
    toml::from_str(&text).map_err(|error| {
        // Without toml's excerpt: an invitation's line may hold a secret.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let reason = format!("line {line}: {}", error.message());
        ConfigFailure::Parse { path: path.to_owned(), reason }
    })
}

fn hostd_state_dir() -> PathBuf {
    "/var/lib/tenure/hostd".into()
}

fn agent_state_dir() -> PathBuf {
    "/var/lib/tenure/agent".into()
}

fn run_dir() -> PathBuf {
    "/run/tenure".into()
}

fn socket() -> PathBuf {
    "/run/tenure/hostd.sock".into()
}

fn operator_socket() -> PathBuf {
    "/run/tenure/operator.sock".into()
}

fn ram_dir() -> PathBuf {
    "/run/tenure-ram".into()
}

fn volume_dir() -> PathBuf {
    "/var/lib/tenure/volumes".into()
}

fn key_dir() -> PathBuf {
    "/var/lib/tenure/keys".into()
}

fn image_dir() -> PathBuf {
    "/var/lib/tenure/images".into()
}

fn qemu() -> PathBuf {
    "/usr/bin/qemu-system-x86_64".into()
}

fn qemu_img() -> PathBuf {
    "/usr/bin/qemu-img".into()
}

fn log() -> String {
    "info".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_configurations_are_the_defaults_and_unknown_keys_are_refused() {
        let etc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/etc");
        let packaged: HostdConfig = load(&etc.join("hostd.toml")).expect("packaged");
        let least = "agent_uid = 990\nagent_gid = 990\nvmm_uid = 991\nvmm_gid = 991\n";
        assert_eq!(packaged, toml::from_str(least).expect("the least"));
        let packaged: AgentConfig = load(&etc.join("agent.toml")).expect("packaged");
        assert_eq!(packaged, toml::from_str("").expect("nothing at all"));
        let error = toml::from_str::<HostdConfig>(&format!("{least}ramdir = \"/x\"\n"));
        assert!(error.expect_err("refused").to_string().contains("ramdir"));
    }

    #[test]
    fn a_damaged_file_is_told_by_its_line_and_not_by_its_content() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("join.toml");
        let damaged = b"log = \"info\"\nsecret = \"5ec2e7\" x\n";
        file::replace(&path, damaged, None).expect("written");
        let error = load::<AgentConfig>(&path).expect_err("refused").to_string();
        assert!(error.contains("line 2") && !error.contains("5ec2e7"), "{error}");
        file::replace(&path, &vec![b' '; 2 << 20], None).expect("written");
        assert!(matches!(load::<AgentConfig>(&path), Err(ConfigFailure::Read { .. })));
    }
}
