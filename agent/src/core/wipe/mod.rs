//! Plans and verdicts of wipes: which ranges, in what order, with what content, and what the
//! measurement is worth. Pure; `host::disk` and `host::memory` carry it out.
//!
//! ```text
//!  Write(Stream) ─▶ ReadBack(Stream) ─▶ Write(Zeros) ─▶ ReadBack(Zeros) ─▶ Remove
//!      ▲  │              ▲  │               ▲  │             ▲  │
//!      └──┘ goes on      └──┘ starts        └──┘ goes on     └──┘ starts
//!           where it was      again              where it was     again
//! ```
//!
//! A write that was cut short goes on from the last saved offset: what lies before it was written.
//! A read-back starts again, since its worth lies in being one whole look at the medium.
//! [`Verdict::of`] is the only way to a pass.

pub mod course;
pub mod map;
pub mod pattern;
pub mod ranges;
pub mod verdict;

pub use course::{Course, Lap, Stage};
pub use map::{Chunk, Extent, ExtentMap, MapFault};
pub use pattern::{Keystream, Seed};
pub use ranges::RangeSet;
pub use tenure_protocol::evidence::predicate::{Pass, Pattern, ReadBack};
pub use verdict::{Passed, Verdict};
