//! Every way a course can go, and what its measurement is then worth.

use proptest::prelude::*;
use tenure_protocol::{
    evidence::predicate::{
        Ending, Pattern,
        media_wipe::{
            ExtentList, FileSystem, FileSystemKind, Layer, LayerKind, MediaWipeMeasured, Range,
        },
        wipe::{ReadLayer, Writers},
    },
    time::Timestamp,
};

use super::{Course, Lap, Stage};
use crate::core::wipe::{RangeSet, Verdict};

const TARGET: u64 = 1 << 20;

fn lap() -> Lap {
    Lap { at: Timestamp::from_unix_ms(1_000), since_ns: 1 }
}

/// What happens next to a course.
#[derive(Debug, Clone)]
enum Turn {
    /// So many bytes further.
    Advance(u64),
    /// A range that cannot be written or read.
    Error(u64, u64),
    /// A range that holds something else.
    Mismatch(u64, u64),
    /// The stage ends, wherever it is.
    Complete,
    /// The process dies, and another resumes from here.
    Resume,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => prop_oneof![Just(TARGET), 0..2 * TARGET].prop_map(Turn::Advance),
        1 => (0..TARGET, 1_u64..9000).prop_map(|(at, length)| Turn::Error(at, length)),
        1 => (0..TARGET, 1_u64..9000).prop_map(|(at, length)| Turn::Mismatch(at, length)),
        4 => Just(Turn::Complete),
        1 => Just(Turn::Resume),
    ]
}

fn set(offset_bytes: u64, length_bytes: u64) -> RangeSet {
    let mut set = RangeSet::default();
    set.add(Range { offset_bytes, length_bytes });
    set
}

fn take(mut course: Course, turns: &[Turn]) -> Course {
    let none = RangeSet::default();
    for turn in turns {
        let at = course.offset();
        match turn {
            Turn::Advance(bytes) => course.advance(at + bytes, &none, &none, lap()),
            Turn::Error(from, length) => course.advance(at, &set(*from, *length), &none, lap()),
            Turn::Mismatch(from, length) => course.advance(at, &none, &set(*from, *length), lap()),
            Turn::Complete => course.complete(ReadLayer::BlockDevice, true, lap()),
            Turn::Resume => course = course.resumed(lap().at),
        }
    }
    course
}

/// All else that a wipe measures, without fault.
fn measured(course: &Course) -> MediaWipeMeasured {
    let extents = ExtentList::of(&[(0, 4096, TARGET)], 0);
    let kind = LayerKind::Disk;
    let device = "8:0".to_owned();
    MediaWipeMeasured {
        ending: Ending::Completed,
        span: course.span(),
        file_system: FileSystem { kind: FileSystemKind::Ext4, mount_options: String::new() },
        topology: vec![Layer {
            kind,
            device,
            offset_bytes: 0,
            size_bytes: 1 << 30,
            identity: "serial".to_owned(),
        }],
        file_bytes: TARGET,
        extents_before: extents.clone(),
        extents_after: Some(extents),
        writers: Writers { vmm_dead: true, open_files: 0, mappings: 0 },
        passes: course.passes().to_vec(),
        read_backs: course.read_backs().to_vec(),
        file_synced: true,
        device_cache_flushed: true,
        unlinked: true,
        bad_ranges: course.bad_ranges().ranges().to_vec(),
    }
}

fn whole(course: Course) -> Course {
    let both = [Turn::Advance(TARGET), Turn::Complete];
    (0..4).fold(course, |course, _| take(course, &both))
}

#[test]
fn a_course_without_faults_passes_and_goes_through_each_stage_once() {
    let course = whole(Course::begin(TARGET, lap().at));
    assert_eq!(course.stage(), Stage::Remove);
    let patterns: Vec<_> = course.passes().iter().map(|pass| pass.pattern).collect();
    assert_eq!(patterns, [Pattern::Stream, Pattern::Zeros]);
    assert!(matches!(Verdict::of(&measured(&course)), Verdict::Pass(_)));
}

#[test]
fn nothing_to_overwrite_is_no_pass() {
    let course = whole(Course::begin(0, lap().at));
    let mut measured = measured(&course);
    measured.extents_before = ExtentList::of(&[], 0);
    measured.extents_after = Some(ExtentList::of(&[], 0));
    assert!(matches!(Verdict::of(&measured), Verdict::Failed(_)));
}

#[test]
fn a_moved_extent_an_unflushed_cache_or_a_late_writer_is_no_pass() {
    let good = measured(&whole(Course::begin(TARGET, lap().at)));
    let mut moved = good.clone();
    moved.extents_after = Some(ExtentList::of(&[(0, 8192, TARGET)], 0));
    let unflushed = MediaWipeMeasured { device_cache_flushed: false, ..good.clone() };
    let mut written = good.clone();
    written.writers.open_files = 1;
    for bad in [moved, unflushed, written] {
        assert!(matches!(Verdict::of(&bad), Verdict::Failed(_)), "{bad:?}");
    }
    let left = Verdict::of(&MediaWipeMeasured { unlinked: false, ..good });
    assert!(matches!(left, Verdict::PassWithExceptions(_)), "{left:?}");
}

#[test]
fn a_resumed_write_goes_on_and_a_resumed_read_back_starts_again() {
    let course = take(Course::begin(TARGET, lap().at), &[Turn::Advance(5000), Turn::Resume]);
    assert_eq!((course.offset(), course.interruptions()), (5000, 1));
    let turns = [Turn::Advance(TARGET), Turn::Complete, Turn::Advance(7), Turn::Mismatch(0, 1)];
    let course = take(take(course, &turns), &[Turn::Resume]);
    assert_eq!(course.stage(), Stage::ReadBack(Pattern::Stream));
    assert_eq!(course.offset(), 0);
    let course = take(course, &[Turn::Advance(TARGET), Turn::Complete]);
    assert_eq!(course.read_backs()[0].mismatched_bytes, 0, "it was looked at again, as a whole");
}

proptest! {
    #[test]
    fn a_pass_covers_every_byte_twice_and_met_no_fault(
        turns in proptest::collection::vec(turn(), 0..24),
    ) {
        let course = take(Course::begin(TARGET, lap().at), &turns);
        let measured = measured(&course);
        if let Verdict::Pass(_) = Verdict::of(&measured) {
            prop_assert_eq!(course.stage(), Stage::Remove);
            prop_assert_eq!((measured.passes.len(), measured.read_backs.len()), (2, 2));
            prop_assert!(measured.passes.iter().all(|p| p.bytes == TARGET && p.error_bytes == 0));
            for read in &measured.read_backs {
                prop_assert_eq!(read.bytes, TARGET);
                prop_assert_eq!((read.mismatched_bytes, read.unreadable_bytes), (0, 0));
            }
            prop_assert!(measured.bad_ranges.is_empty());
        }
    }

    #[test]
    fn one_fault_anywhere_is_never_forgotten(
        stage in 0_usize..4,
        at in 0..TARGET - 1,
        length in 1_u64..9000,
        is_error in any::<bool>(),
        resumes_before in any::<bool>(),
    ) {
        let both = [Turn::Advance(TARGET), Turn::Complete];
        let is_read = stage % 2 == 1;
        let fault =
            if is_error || !is_read { Turn::Error(at, length) } else { Turn::Mismatch(at, length) };
        let mut course = Course::begin(TARGET, lap().at);
        for number in 0..4 {
            if number == stage {
                if resumes_before {
                    course = take(course, &[Turn::Resume]);
                }
                course = take(course, std::slice::from_ref(&fault));
            }
            course = take(course, &both);
        }
        prop_assert_eq!(course.stage(), Stage::Remove);
        prop_assert!(matches!(Verdict::of(&measured(&course)), Verdict::Failed(_)));
    }
}
