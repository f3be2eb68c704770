//! `memory-wipe`: one instance's memory file, overwritten and read back after its process is dead.

use serde::{Deserialize, Serialize};

use super::{
    Span,
    conclusion::{Conclusion, Ending, Findings},
    wipe::{Measured, Pass, Pattern, ReadBack, ReadLayer, Wipe, Writers},
};

/// The attestation of one instance's memory wipe.
pub type MemoryWipe = Wipe<MemoryWipeMeasured>;

/// What was measured while memory was wiped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemoryWipeMeasured {
    /// How the run ended.
    pub ending: Ending,
    /// The whole run.
    pub span: Span,
    /// The file system that held the memory.
    pub file_system: MemoryFileSystem,
    /// Size of a page, bytes.
    pub page_bytes: u64,
    /// Size of the memory file, bytes.
    pub bytes: u64,
    /// Who else could write to it.
    pub writers: Writers,
    /// The passes, in their order.
    pub passes: Vec<Pass>,
    /// What was read back, in its order.
    pub read_backs: Vec<ReadBack>,
    /// Whether the file was unlinked at the end.
    pub unlinked: bool,
    /// Where else the guest could have left something.
    pub residue: Vec<Residue>,
}

/// File systems that hold memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryFileSystem {
    /// tmpfs.
    Tmpfs,
    /// hugetlbfs.
    Hugetlbfs,
}

/// A place where a guest's data could be left, and what was found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Residue {
    /// Where.
    pub place: ResiduePlace,
    /// What was found.
    pub state: ResidueState,
    /// How that is known, or why it is not.
    pub detail: String,
}

/// Places where a guest's data could be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResiduePlace {
    /// Swap devices and files.
    Swap,
    /// Pages shared by kernel samepage merging.
    SamepageMerging,
    /// Core dumps of the instance's process.
    CoreDumps,
    /// Logs of the instance's console.
    ConsoleLog,
    /// Sockets and other run-time files of the instance.
    RuntimeFiles,
    /// Memory of the instance's process itself, given back to the kernel when it died.
    ProcessMemory,
    /// Compressed memory (zswap, zram).
    CompressedMemory,
    /// A hibernation image.
    Hibernation,
}

impl ResiduePlace {
    /// The places without a look at which no memory wipe is a full pass.
    pub const REQUIRED: [Self; 4] =
        [Self::Swap, Self::SamepageMerging, Self::CoreDumps, Self::ConsoleLog];
}

/// What was found at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidueState {
    /// Nothing is there.
    Clean,
    /// Something is there.
    Found,
    /// Nobody looked.
    NotChecked,
}

impl Measured for MemoryWipeMeasured {
    const RESIDUAL_RISKS: &'static [&'static str] = &[
        "Memory of the instance's own process outside the guest's memory was given back to the \
         kernel, which clears pages before another process gets them.",
        "Caches of the processor and the contents of memory chips after power-off are not covered.",
        "Memory that was moved to another host earlier is not covered by this statement.",
    ];

    fn conclude(&self) -> Conclusion {
        let mut found = Findings::new(self.ending, self.bytes);
        found.require(self.writers.are_gone(), || {
            "another process could still write to the memory".to_owned()
        });
        let (passes, reads) = (&self.passes, &self.read_backs);
        found.require_overwrite(Pattern::Zeros, ReadLayer::Memory, passes, reads);
        found
            .require(self.passes.last().is_some_and(|pass| pass.pattern == Pattern::Zeros), || {
                "the last pass was not one of zeros".to_owned()
            });
        for residue in &self.residue {
            found.require(residue.state != ResidueState::Found, || {
                format!("residue was found: {:?}, {}", residue.place, residue.detail)
            });
        }
        for place in ResiduePlace::REQUIRED {
            let looked = |residue: &Residue| {
                residue.place == place && residue.state != ResidueState::NotChecked
            };
            found.expect(self.residue.iter().any(looked), || {
                format!("nobody looked for residue: {place:?}")
            });
        }
        found.expect(self.unlinked, || "the wiped file was not unlinked".to_owned());
        found.conclude("overwritten and read back in full after the instance's process had died")
    }
}
