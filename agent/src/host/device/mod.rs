//! Whole disks that leave service: what they say of themselves, who uses them, and the commands
//! that they are sent. What is sent, and what an answer means, [`crate::core::sanitize`] decides.

mod ioctl;
mod sample;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

pub use self::sample::Places;
use super::block;
use crate::core::sanitize::{Answer, Command, PageError, Refusal, Survey, ata, nvme, scsi};

/// A disk that cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFailure {
    /// A file or a directory of the kernel's cannot be read.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not answer what every disk of its kind answers.
    #[error("{device} does not answer {asked}: {words}")]
    Silent {
        /// The disk.
        device: String,
        /// What was asked.
        asked: &'static str,
        /// Its answer, or why there is none.
        words: String,
    },
    /// Its answer makes no sense.
    #[error("{device} gives a page that makes no sense")]
    Page {
        /// The disk.
        device: String,
        /// Why not.
        #[source]
        source: PageError,
    },
    /// It must not be erased.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// How a disk is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// NVMe: the qualified name of its subsystem.
    Nvme { subsystem: String },
    /// SCSI, or ATA in it: the raw page of its serial number, as the kernel has it.
    Scsi { serial: Option<Vec<u8>> },
}

/// A disk, open, with all block devices that are erased with it.
#[derive(Debug)]
pub struct Disk {
    name: String,
    file: File,
    way: Way,
    /// Nodes of the parts, by the unit's number.
    nodes: BTreeMap<u32, PathBuf>,
    /// Every block device that is it, or a part of it.
    devices: BTreeSet<u64>,
}

impl Disk {
    /// Opens the disk with this node, claiming nothing yet.
    ///
    /// # Errors
    /// [`DeviceFailure`]; refused is what is no whole disk of a known kind.
    pub fn open(node: &Path) -> Result<Self, DeviceFailure> {
        let metadata = fs::metadata(node).map_err(on("look at", node))?;
        let no_disk = || Refusal::NotADisk(node.display().to_string());
        if !metadata.file_type().is_block_device() {
            return Err(no_disk().into());
        }
        let dir = block::of(metadata.rdev());
        let name = block::name(metadata.rdev());
        if dir.join("partition").exists() {
            return Err(Refusal::Partition(node.display().to_string()).into());
        }
        let kind = fs::canonicalize(dir.join("device/subsystem")).unwrap_or_default();
        let way = match kind.file_name().and_then(|kind| kind.to_str()) {
            Some("nvme" | "nvme-subsystem") => {
                let subsystem = block::read(&dir.join("device/subsysnqn")).ok_or_else(no_disk)?;
                Way::Nvme { subsystem }
            }
            Some("scsi") => Way::Scsi { serial: fs::read(dir.join("device/vpd_pg80")).ok() },
            Some(_) | None => return Err(no_disk().into()),
        };
        let file = File::options().read(true).write(true).open(node).map_err(on("open", node))?;
        same(&file, metadata.rdev()).map_err(on("open", node))?;
        let mut disk = Self { name, file, way, nodes: BTreeMap::new(), devices: BTreeSet::new() };
        disk.find_parts().map_err(on("look at", Path::new(block::BLOCK)))?;
        if !disk.devices.contains(&metadata.rdev()) {
            return Err(no_disk().into());
        }
        Ok(disk)
    }

    /// All block devices that are of the same flash (NVMe: the subsystem), or other ways to it.
    fn find_parts(&mut self) -> io::Result<()> {
        for name in block::names(Path::new(block::BLOCK))? {
            let dir = Path::new(block::BLOCK).join(&name);
            let is_ours = match &self.way {
                Way::Nvme { subsystem } => {
                    block::read(&dir.join("device/subsysnqn")).as_ref() == Some(subsystem)
                }
                Way::Scsi { serial: Some(serial) } if *name != self.name => {
                    fs::read(dir.join("device/vpd_pg80")).is_ok_and(|other| other == *serial)
                }
                Way::Scsi { .. } => name == self.name,
            };
            let is_hidden = block::read(&dir.join("hidden")).as_deref() == Some("1");
            let number = block::read(&dir.join("dev")).and_then(|text| block::parse(&text));
            let Some(number) = number.filter(|_| is_ours && !is_hidden) else { continue };
            self.devices.extend(block::with_partitions(number)?);
            let unit = match &self.way {
                Way::Nvme { .. } => block::read(&dir.join("nsid")).and_then(|id| id.parse().ok()),
                Way::Scsi { .. } => (name == self.name).then_some(0),
            };
            if let Some(unit) = unit {
                self.nodes.insert(unit, Path::new("/dev").join(&name));
            }
        }
        Ok(())
    }

    /// Sends a command and waits for its answer.
    #[must_use]
    pub fn send(&self, command: &Command) -> Answer {
        ioctl::send(&self.file, command)
    }

    fn ask(&self, asked: &'static str, command: &Command) -> Result<Vec<u8>, DeviceFailure> {
        match self.send(command) {
            Answer::Done(page) => Ok(page),
            Answer::Refused(words) | Answer::Lost(words) => {
                Err(DeviceFailure::Silent { device: self.name.clone(), asked, words })
            }
        }
    }

    fn read<T>(&self, parsed: Result<T, PageError>) -> Result<T, DeviceFailure> {
        parsed.map_err(|source| DeviceFailure::Page { device: self.name.clone(), source })
    }

    /// What it says of itself. Changes nothing.
    ///
    /// # Errors
    /// [`DeviceFailure`]; refused is a controller with a namespace that this host cannot see.
    pub fn survey(&self) -> Result<Survey, DeviceFailure> {
        let survey = match self.way {
            Way::Nvme { .. } => self.survey_nvme()?,
            Way::Scsi { .. } => self.survey_scsi()?,
        };
        if survey.device.serial.is_empty() || survey.device.model.is_empty() {
            return Err(Refusal::Nameless.into());
        }
        Ok(survey)
    }

    fn survey_nvme(&self) -> Result<Survey, DeviceFailure> {
        let page = self.ask("who it is", &nvme::identify_controller())?;
        let controller = self.read(nvme::Controller::parse(&page))?;
        let page = self.ask("which namespaces it has", &nvme::identify_namespaces())?;
        let attached = self.read(nvme::namespaces(&page))?;
        if controller.has_detached {
            let page = self.ask("which namespaces there are", &nvme::identify_allocated())?;
            let all = self.read(nvme::namespaces(&page))?;
            if let Some(unit) = all.iter().find(|unit| !attached.contains(unit)) {
                let detached = format!("namespace {unit} is not attached here: who uses it?");
                return Err(Refusal::InUse(vec![detached]).into());
            }
        }
        let mut parts = Vec::new();
        for unit in attached {
            if !self.nodes.contains_key(&unit) {
                let hidden = format!("namespace {unit} has no block device on this host");
                return Err(Refusal::InUse(vec![hidden]).into());
            }
            let page = self.ask("how large a namespace is", &nvme::identify_namespace(unit))?;
            let namespace = self.read(nvme::Namespace::parse(unit, &page))?;
            parts.push((namespace.part, namespace.format));
        }
        Ok(Survey {
            device: controller.device,
            methods: controller.methods,
            parts,
            capacity_bytes: controller.capacity_bytes,
            unallocated_bytes: controller.unallocated_bytes,
            is_shared: controller.is_shared,
            ata: None,
        })
    }

    fn survey_scsi(&self) -> Result<Survey, DeviceFailure> {
        let unit = self.read(scsi::Unit::parse(&self.ask("who it is", &scsi::inquiry())?))?;
        if unit.is_ata {
            let disk =
                self.read(ata::Disk::parse(&self.ask("who it is (ATA)", &ata::identify())?))?;
            return Ok(Survey {
                device: disk.device.clone(),
                methods: disk.methods.clone(),
                parts: vec![(disk.part, 0)],
                capacity_bytes: Some(disk.part.size_bytes),
                unallocated_bytes: 0,
                is_shared: false,
                ata: Some(disk),
            });
        }
        let mut device = unit.device;
        let page = self.ask("its serial number", &scsi::serial_number())?;
        device.serial = self.read(scsi::serial(&page))?;
        // A unit that is being sanitized, or failed to be, tells nobody its size; one without parts
        // is never planned for anew.
        let part = match self.send(&scsi::capacity()) {
            Answer::Done(page) => Some(self.read(scsi::part(&page))?),
            Answer::Refused(_) | Answer::Lost(_) => None,
        };
        let has = |method: &_| {
            scsi::supports(*method).is_some_and(|command| match self.send(&command) {
                Answer::Done(page) => scsi::is_supported(&page),
                Answer::Refused(_) | Answer::Lost(_) => false,
            })
        };
        let all = tenure_protocol::evidence::predicate::Method::ALL;
        Ok(Survey {
            device,
            methods: all.into_iter().filter(has).collect(),
            parts: part.map(|part| (part, 0)).into_iter().collect(),
            capacity_bytes: part.map(|part| part.size_bytes),
            unallocated_bytes: 0,
            is_shared: false,
            ata: None,
        })
    }

    /// Every block device that is the disk, or a part of it, by number.
    #[must_use]
    pub const fn devices(&self) -> &BTreeSet<u64> {
        &self.devices
    }

    /// Claims the disk with all its parts, so that nobody mounts it or builds on it meanwhile, and
    /// makes sure that nobody uses it. The claim ends when what is given back is dropped.
    ///
    /// # Errors
    /// [`Refusal::InUse`], [`DeviceFailure::Io`].
    pub fn claim(&self) -> Result<Claim, DeviceFailure> {
        let listed = || usage::uses(&self.devices).map_err(on("look for users of", self.any()));
        let mut files = Vec::new();
        for node in self.nodes.values() {
            let opened = File::options().read(true).custom_flags(libc::O_EXCL).open(node);
            match opened {
                Ok(file) => {
                    let number = file.metadata().map_err(on("look at", node))?.rdev();
                    if !self.devices.contains(&number) {
                        return Err(on("claim", node)(io::ErrorKind::NotFound.into()));
                    }
                    files.push(file);
                }
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    let mut uses = listed()?;
                    uses.push(format!("{}: the kernel says that it is claimed", node.display()));
                    return Err(Refusal::InUse(uses).into());
                }
                Err(source) => return Err(on("claim", node)(source)),
            }
        }
        let uses = listed()?;
        if !uses.is_empty() {
            return Err(Refusal::InUse(uses).into());
        }
        Ok(Claim(files))
    }

    fn any(&self) -> &Path {
        self.nodes.values().next().map_or(Path::new(block::BLOCK), PathBuf::as_path)
    }

    /// Reads places all over the disk.
    ///
    /// # Errors
    /// [`DeviceFailure::Io`].
    pub fn sample(&self, survey: &Survey) -> Result<Places, DeviceFailure> {
        let nodes = survey
            .parts
            .iter()
            .filter_map(|(part, _)| Some((self.nodes.get(&part.unit)?.as_path(), part.size_bytes)));
        sample::read(nodes).map_err(on("read", self.any()))
    }
}

/// A disk that is this process's alone.
#[derive(Debug)]
pub struct Claim(Vec<File>);

impl Claim {
    /// Writes out what the host still holds back of the disk, so that nothing of it is written
    /// after the erasure.
    ///
    /// # Errors
    /// [`DeviceFailure::Io`].
    pub fn flush(&self) -> Result<(), DeviceFailure> {
        let synced = self.0.iter().try_for_each(File::sync_all);
        synced.map_err(on("flush", Path::new("the disk")))
    }
}

/// Nobody put another device under the name meanwhile.
fn same(file: &File, number: u64) -> io::Result<()> {
    let is_same = file.metadata()?.rdev() == number;
    if is_same { Ok(()) } else { Err(io::Error::other("it became another device")) }
}

fn on(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeviceFailure {
    move |source| DeviceFailure::Io { operation, path: path.to_owned(), source }
}
