//! Why memory is not wiped.

use std::{io, path::PathBuf};

/// Why memory is not overwritten. Nothing was written when one of these is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemoryRefusal {
    /// The caller did not prove that the instance's process is dead.
    #[error("the instance's process is not proven dead: stop it first")]
    VmmAlive,
    /// A directory, symbolic link, socket or device.
    #[error("it is not a regular file: give the memory's own file")]
    NotAFile,
    /// More than one name.
    #[error("it has more than one name (hard links): remove the others first")]
    HardLinks,
    /// Open or mapped elsewhere.
    #[error("something else has it open or mapped: end that first")]
    Held,
    /// Neither tmpfs nor hugetlbfs.
    #[error("its file system is neither tmpfs nor hugetlbfs: it is not memory")]
    FileSystem,
}

impl MemoryRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::VmmAlive => "vmm-alive",
            Self::NotAFile => "not-a-file",
            Self::HardLinks => "hard-links",
            Self::Held => "held",
            Self::FileSystem => "file-system",
        }
    }
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum MemoryFailure {
    /// It must not be overwritten. Nothing was written.
    #[error("{} is not wiped: {refusal}{holders}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        refusal: MemoryRefusal,
        /// For [`MemoryRefusal::Held`], who holds it.
        holders: String,
    },
    /// Nothing is there. Never counts as a wipe.
    #[error("{} is not there: nothing was wiped", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The saved progress is another file's, or other pages came to it.
    #[error("{} is not what its wipe was begun on: look for who changed it", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The caller stopped it; the last saved progress resumes it.
    #[error("the wipe of {} was stopped", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// A step failed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// Which.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl MemoryFailure {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal.code(),
            Self::Absent { .. } => "absent",
            Self::Replaced { .. } => "replaced",
            Self::Stopped { .. } => "stopped",
            Self::Io { .. } => "io",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryRefusal;

    #[test]
    fn codes_are_kebab_case_and_all_different() {
        let all = [
            MemoryRefusal::VmmAlive,
            MemoryRefusal::NotAFile,
            MemoryRefusal::HardLinks,
            MemoryRefusal::Held,
            MemoryRefusal::FileSystem,
        ];
        let codes: std::collections::BTreeSet<_> = all.iter().map(|one| one.code()).collect();
        assert_eq!(codes.len(), all.len());
        let kebab = |code: &str| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(codes.iter().all(|code| kebab(code)), "{codes:?}");
    }
}
