//! In which format a tenant is stored. The number stands in every stored tenant. What is stored is
//! read by every later build, so a format changes by one of two ways alone:
//!
//! - a field is added, and its absence has a true meaning (`#[serde(default)]`: nobody did that
//!   yet);
//! - anything else: a migration brings what is stored to the new format.
//!
//! Either way [`NUMBER`] grows by one, and a golden tenant of the new format is added to the
//! `stored` directory beside this file, where a test reads each that ever was.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The format that is written.
pub const NUMBER: u32 = 1;

/// The mark of the format: read, it was one that this build knows; written, it is [`NUMBER`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(NUMBER)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if (1..=NUMBER).contains(&number) {
            return Ok(Self);
        }
        Err(D::Error::custom(format!(
            "it is stored in format {number}, and this build reads 1 to {NUMBER}: start the build \
             that stored it, or a later one"
        )))
    }
}
