//! Why a disk is not erased: nothing was sent to it that changes it.

use tenure_protocol::evidence::predicate::device::Method;

/// Why not, with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing that can be spoken to as NVMe, ATA or SCSI.
    #[error(
        "{0} is no NVMe, ATA or SCSI disk, so that no command for its firmware is known. What \
         remains possible: wipe the tenants' volumes on it (clear), or destroy it"
    )]
    NotADisk(String),
    /// A part of a disk was named.
    #[error("{0} is a partition: name the whole disk, all of which would be erased")]
    Partition(String),
    /// It does not say who it is.
    #[error("the disk gives no model or no serial number: it cannot be told from others")]
    Nameless,
    /// It is another disk than the operator means.
    #[error("the disk there is {model}, serial number {found:?}, and not {given:?}")]
    OtherDisk {
        /// The model that answers.
        model: String,
        /// The serial number that answers.
        found: String,
        /// What the operator gave.
        given: String,
    },
    /// Something uses it.
    #[error("the disk is in use: {}", .0.join("; "))]
    InUse(Vec<String>),
    /// Tenants' volumes are on it, or may be.
    #[error("the disk holds, or may hold, what tenants have: {}", .0.join("; "))]
    Tenants(Vec<String>),
    /// Its firmware has no method.
    #[error(
        "{0} has no command that erases it all (or not over this connection). What remains \
         possible: wipe the tenants' volumes on it (clear), or destroy it"
    )]
    NoMethod(String),
    /// Its firmware does not have this one.
    #[error("the disk does not have {}; it has {}", .wanted.name(), names(.has))]
    NotThisMethod {
        /// What was asked for.
        wanted: Method,
        /// What it has.
        has: Vec<Method>,
    },
    /// Its state forbids it.
    #[error("the disk takes no erasing command now: {0}")]
    Obstacle(String),
    /// A sanitize operation is under way that this host did not begin.
    #[error(
        "an erasure is under way on the disk that this host's records do not know; it cannot be \
         stopped. Wait for its end, then say again what you want"
    )]
    UnderWay,
    /// Another method than that of the run that is open.
    #[error(
        "a run with {} was begun on the disk and its end was not seen yet: give the same method, \
         or auto, and it is taken up again",
        .0.name()
    )]
    Begun(Method),
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotADisk(_) => "not-a-disk",
            Self::Partition(_) => "partition",
            Self::Nameless => "nameless",
            Self::OtherDisk { .. } => "other-disk",
            Self::InUse(_) => "in-use",
            Self::Tenants(_) => "tenants",
            Self::NoMethod(_) => "no-method",
            Self::NotThisMethod { .. } => "not-this-method",
            Self::Obstacle(_) => "obstacle",
            Self::UnderWay => "under-way",
            Self::Begun(_) => "begun",
        }
    }
}

fn names(methods: &[Method]) -> String {
    methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(", ")
}
