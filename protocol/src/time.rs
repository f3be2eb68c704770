//! Instants and spans as integers. Nothing here reads a clock: `now` is always a parameter.

use std::{fmt, str::FromStr};

use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. RFC 3339 in UTC where people or JSON read
/// it, an integer on the wire. Years 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The last millisecond of the year 9999.
const MAX_MS: i64 = 253_402_300_799_999;

/// Text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant: give RFC 3339 such as 2026-09-01T08:00:00Z")]
pub struct ParseTimestampError(String);

impl Timestamp {
    /// From milliseconds since the epoch, clamped to the years 1970 to 9999.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        if ms < 0 {
            Self(0)
        } else if ms > MAX_MS {
            Self(MAX_MS)
        } else {
            Self(ms)
        }
    }

    /// The instant of an RFC 3339 text of whatever year, or the nearest that there is.
    ///
    /// # Errors
    /// [`ParseTimestampError`].
    pub fn nearest(text: &str) -> Result<Self, ParseTimestampError> {
        text.parse().or_else(|error| match Pieces::parse(text) {
            Ok(pieces) if pieces.time().is_some() && pieces.to_numeric_offset().is_some() => {
                // It is an instant, so its year alone is out of bounds, or nearly so.
                let is_early = pieces.date().year() <= 1970;
                Ok(Self(if is_early { 0 } else { MAX_MS }))
            }
            Ok(_) | Err(_) => Err(error),
        })
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This instant moved by a signed number of milliseconds, clamped.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self::from_unix_ms(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant, negative if it lies before.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let instant: jiff::Timestamp =
            text.parse().map_err(|_| ParseTimestampError(text.chars().take(64).collect()))?;
        let ms = instant.as_millisecond();
        if (0..=MAX_MS).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(ParseTimestampError(text.chars().take(64).collect()))
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            let ms = i64::deserialize(deserializer)?;
            if (0..=MAX_MS).contains(&ms) {
                Ok(Self(ms))
            } else {
                Err(D::Error::custom("instant outside the years 1970 to 9999"))
            }
        }
    }
}

/// Reads an optional instant as [`Timestamp::nearest`] does; for a member's `deserialize_with`.
///
/// # Errors
/// The deserializer's.
pub fn nearest<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    text.map(|text| Timestamp::nearest(&text).map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_of_another_age_is_read_as_the_nearest_and_nonsense_is_refused() {
        let (first, last) = (Timestamp(0), Timestamp(MAX_MS));
        for early in
            ["0501-09-18T23:12:34-00:48", "0000-01-01T00:00:00Z", "1970-01-01T00:00:00+08:00"]
        {
            assert_eq!(Timestamp::nearest(early), Ok(first), "{early}");
        }
        for late in ["9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.999Z"] {
            assert_eq!(Timestamp::nearest(late), Ok(last), "{late}");
        }
        let at = "2026-09-01T08:00:00+08:00";
        assert_eq!(Timestamp::nearest(at), at.parse());
        for wrong in ["0501-09-18", "0501-09-18T23:12:34", "0501-13-18T23:12:34Z", "yesterday", ""]
        {
            assert!(Timestamp::nearest(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_instant_prints_as_rfc_3339_in_utc_and_reads_back() {
        let at = Timestamp::from_unix_ms(1_788_220_800_123);
        assert_eq!(at.to_string(), "2026-09-01T00:00:00.123Z");
        assert_eq!("2026-09-01T08:00:00.123+08:00".parse(), Ok(at));
        assert_eq!(
            serde_json::to_string(&at).ok().as_deref(),
            Some("\"2026-09-01T00:00:00.123Z\"")
        );
        assert!("1969-12-31T00:00:00Z".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
