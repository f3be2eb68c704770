//! Disks that answer as the standards have it, as they fail, and as they lie; and bytes of chance.

use proptest::prelude::*;
use tenure_protocol::{
    evidence::predicate::{
        Category, WipeResult,
        device::{Interface, Method},
        device_sanitize::{DeviceSanitizeMeasured, Sighting, State, Stop},
    },
    time::Timestamp,
};

use super::{
    Answer, Course, Refusal, Wanted, ata,
    disks::{self, Disk, Ending, at, carry_out, conclude, measured, plan_for, survey},
    nvme,
    plan::{self, may_begin},
    scsi,
};

const STATUS: [Method; 6] = [
    Method::NvmeSanitizeBlock,
    Method::NvmeSanitizeCrypto,
    Method::NvmeSanitizeOverwrite,
    Method::ScsiSanitizeBlock,
    Method::ScsiSanitizeCrypto,
    Method::ScsiSanitizeOverwrite,
];

fn run(method: Method, ending: Ending) -> DeviceSanitizeMeasured {
    let mut disk = Disk::new(method, ending);
    let plan = plan_for(method);
    let before = disk.look(&plan);
    let mut course = Course::begin(plan, before);
    let stop = carry_out(&mut disk, &mut course, usize::MAX);
    measured(&course, stop.expect("it ends"), 0)
}

#[test]
fn every_method_passes_on_a_disk_that_does_as_it_is_told() {
    for method in Method::ALL {
        let facts = run(method, Ending::Good);
        let conclusion = conclude(&facts, method);
        assert_eq!(conclusion.result, WipeResult::Pass, "{method:?}: {conclusion:?}");
        let purge = STATUS.contains(&method);
        let category = if purge { Category::Purge } else { Category::Clear };
        assert_eq!(conclusion.category, category, "{method:?}");
        assert_eq!(conclusion.coverage_ppm, 1_000_000);
    }
}

#[test]
fn completed_last_year_is_no_pass() {
    for method in STATUS {
        let facts = run(method, Ending::Nothing);
        assert_eq!(facts.stop, Stop::Done, "{method:?}");
        assert_eq!(facts.sightings.last().map(|seen| seen.state), Some(State::Completed));
        let conclusion = conclude(&facts, method);
        assert_eq!(conclusion.result, WipeResult::Failed);
        assert!(conclusion.shortcomings[0].contains("nothing new"), "{conclusion:?}");
        assert_eq!(conclusion.category, Category::None);
    }
}

#[test]
fn whatever_a_disk_does_else_is_no_pass() {
    for method in Method::ALL {
        for (ending, stop) in [
            (Ending::Refuses, Stop::Refused),
            (Ending::Vanishes, Stop::Lost),
            (Ending::Fails, Stop::Failed),
            (Ending::Hangs, Stop::TimedOut),
        ] {
            let answers = !STATUS.contains(&method);
            // Where the command's own answer is the end, a failure is a refusal, and no disk hangs
            // longer than the command's own limit.
            let stop = match (answers, ending) {
                (true, Ending::Fails) => Stop::Refused,
                (true, Ending::Hangs) => continue,
                _ => stop,
            };
            let facts = run(method, ending);
            assert_eq!(facts.stop, stop, "{method:?} {ending:?}");
            assert_eq!(conclude(&facts, method).result, WipeResult::Failed);
        }
    }
}

#[test]
fn another_kind_of_sanitize_than_was_ordered_is_no_pass() {
    let facts = run(Method::NvmeSanitizeBlock, Ending::Good);
    assert_eq!(conclude(&facts, Method::NvmeSanitizeCrypto).result, WipeResult::Failed);
}

#[test]
fn each_shortcoming_takes_the_pass_away() {
    type Change = fn(&mut DeviceSanitizeMeasured);
    let all: [(Method, Change); 9] = [
        (Method::NvmeSanitizeBlock, |m| m.same_device = false),
        (Method::NvmeSanitizeBlock, |m| m.sightings.clear()),
        (Method::NvmeSanitizeBlock, |m| m.commands.clear()),
        (Method::NvmeFormatCrypto, |m| {
            m.commands.pop();
        }),
        (Method::NvmeFormatCrypto, |m| m.commands[0].accepted = false),
        (Method::NvmeFormatCrypto, |m| m.sample.as_mut().expect("sampled").unchanged = 1),
        (Method::AtaSecureErase, |m| m.sightings.truncate(1)),
        (Method::AtaSecureErase, |m| {
            m.sightings.remove(0);
        }),
        (Method::ScsiSanitizeBlock, |m| {
            m.sightings.retain(|seen| seen.state != State::InProgress);
        }),
    ];
    for (number, (method, change)) in all.into_iter().enumerate() {
        let mut facts = run(method, Ending::Good);
        assert_eq!(conclude(&facts, method).result, WipeResult::Pass);
        change(&mut facts);
        assert_eq!(conclude(&facts, method).result, WipeResult::Failed, "{number} {method:?}");
    }
    let mut facts = run(Method::NvmeFormatCrypto, Ending::Good);
    facts.outside_bytes = 4096;
    let conclusion = conclude(&facts, Method::NvmeFormatCrypto);
    assert_eq!(conclusion.result, WipeResult::PassWithExceptions);
}

#[test]
fn a_run_that_was_cut_short_anywhere_ends_in_one_honest_statement() {
    for method in Method::ALL {
        for ending in [Ending::Good, Ending::Nothing, Ending::Fails] {
            for sent in 0..12 {
                let mut disk = Disk::new(method, ending);
                let plan = plan_for(method);
                let before = disk.look(&plan);
                let mut course = Course::begin(plan.clone(), before);
                if carry_out(&mut disk, &mut course, sent).is_some() {
                    break;
                }
                // The process is gone, and all it knew but the record with it.
                let now = disk.look(&plan);
                let resumed = Course::resume(plan.clone(), before, now);
                let again = resumed.is_none();
                let mut course = resumed.unwrap_or_else(|| Course::begin(plan.clone(), now));
                let stop = carry_out(&mut disk, &mut course, usize::MAX).expect("it ends");
                let facts = measured(&course, stop, u32::from(!again));
                let passed = conclude(&facts, method).result == WipeResult::Pass;
                assert!(!passed || ending == Ending::Good || !STATUS.contains(&method));
                assert!(
                    passed || ending != Ending::Good,
                    "{method:?} after {sent}: {:?}",
                    conclude(&facts, method)
                );
            }
        }
    }
}

#[test]
fn what_is_under_way_is_observed_and_never_commanded_again() {
    let method = Method::NvmeSanitizeBlock;
    let mut disk = Disk::new(method, Ending::Good);
    let plan = plan_for(method);
    let before = disk.look(&plan);
    let mut course = Course::begin(plan.clone(), before);
    assert_eq!(carry_out(&mut disk, &mut course, 2), None);
    let now = disk.look(&plan);
    assert_eq!(now.map(|seen| seen.state), Some(State::InProgress));
    assert_eq!(may_begin(now.as_ref()), Err(Refusal::UnderWay));
    let mut course = Course::resume(plan.clone(), before, now).expect("observed");
    assert_eq!(carry_out(&mut disk, &mut course, usize::MAX), Some(Stop::Done));
    assert!(course.commands().is_empty());
    // That somebody wrote is no end of an erasure.
    let written = before.map(|before| Sighting { word: before.word & !(1 << 40), ..before });
    assert_eq!(Course::resume(plan, before, written), None);
    assert_eq!(conclude(&measured(&course, Stop::Done, 1), method).result, WipeResult::Pass);
}

#[test]
fn the_best_method_is_taken_and_what_cannot_be_done_is_refused() {
    let mut survey = survey(&Method::ALL[..5]);
    let chosen = |survey: &_, wanted| plan::plan(survey, wanted).map(|plan| plan.method);
    assert_eq!(chosen(&survey, Wanted::Auto), Ok(Method::NvmeSanitizeBlock));
    let wanted = Wanted::Method(Method::NvmeFormatCrypto);
    assert_eq!(chosen(&survey, wanted), Ok(Method::NvmeFormatCrypto));
    survey.methods = vec![Method::NvmeFormatUserData];
    let refusal = chosen(&survey, wanted).expect_err("refused");
    assert_eq!(refusal.code(), "not-this-method");
    assert!(refusal.to_string().contains("nvme-format-user-data"), "{refusal}");
    survey.methods.clear();
    let refusal = chosen(&survey, Wanted::Auto).expect_err("refused");
    assert_eq!(refusal.code(), "no-method");
    assert!(refusal.to_string().contains("What remains possible"), "{refusal}");
    assert!("auto".parse::<Wanted>().is_ok() && "ata-secure-erase".parse::<Wanted>().is_ok());
    assert!("shred".parse::<Wanted>().expect_err("unknown").contains("nvme-format-crypto"));
}

#[test]
fn an_ata_disk_that_is_frozen_or_armed_by_others_is_refused() {
    let page = disks::ata_page(0x21 | 8);
    let disk = ata::Disk::parse(&page).expect("read");
    assert_eq!(disk.device.interface, Interface::Ata);
    assert_eq!((disk.device.model.as_str(), disk.device.serial.as_str()), ("WIDGET 9", "S-1"));
    assert_eq!(disk.part.size_bytes, 4096 * 512);
    assert_eq!(disk.methods, [Method::AtaSecureEraseEnhanced, Method::AtaSecureErase]);
    assert!(disk.security.obstacle().is_some_and(|text| text.contains("frozen")));
    let armed = ata::Disk::parse(&disks::ata_page(0x23)).expect("read").sighting(at(0));
    assert!(matches!(may_begin(Some(&armed)), Err(Refusal::Obstacle(_))));
    let mut wrong = page;
    wrong[40] ^= 1;
    assert!(ata::Disk::parse(&wrong).is_err(), "its checksum");
}

#[test]
fn a_controller_and_its_namespaces_are_read_from_their_pages() {
    let controller = nvme::Controller::parse(&disks::nvme_controller()).expect("read");
    assert_eq!(controller.device.serial, "S-1");
    assert_eq!(controller.device.model, "WIDGET 9?[2J", "no control characters");
    let with_crypto = [Method::NvmeSanitizeCrypto, Method::NvmeFormatCrypto];
    assert_eq!(controller.methods.len(), 4);
    assert!(with_crypto.iter().all(|method| controller.methods.contains(method)));
    assert_eq!(controller.unallocated_bytes, 1 << 30);
    let namespace = nvme::Namespace::parse(7, &disks::nvme_namespace()).expect("read");
    assert_eq!((namespace.part.unit, namespace.part.size_bytes), (7, 100 << 12));
    // Format 17 (its upper bits are at 12), metadata in the block, protection type 1 at its begin.
    assert_eq!(namespace.format, 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 12);
    let mut list = vec![0; 4096];
    (list[0], list[4], list[12]) = (3, 9, 5);
    assert_eq!(nvme::namespaces(&list), Ok(vec![3, 9]));
}

#[test]
fn sense_is_read_in_both_formats() {
    let mut fixed = [0; 18];
    (fixed[0], fixed[2], fixed[12], fixed[13]) = (0x70, 2, 0x04, 0x1b);
    (fixed[15], fixed[16]) = (0x80, 0x80);
    let described = [0x72, 2, 0x04, 0x1b, 0, 0, 0, 8, 2, 6, 0, 0, 0x80, 0x80, 0, 0];
    for page in [&fixed[..], &described[..]] {
        let seen = scsi::Sense::parse(page).expect("read").sighting(at(0));
        assert_eq!((seen.state, seen.progress_ppm), (State::InProgress, Some(500_000)));
    }
    let failed = [0x72, 3, 0x31, 0x03, 0, 0, 0, 0];
    assert_eq!(scsi::Sense::parse(&failed).expect("read").sighting(at(0)).state, State::Failed);
}

proptest! {
    #[test]
    fn no_bytes_bring_a_parser_or_a_course_to_fall(
        page in proptest::collection::vec(any::<u8>(), 0..5000),
        method in 0..Method::ALL.len(),
        kinds in proptest::collection::vec(0..3_u8, 0..80),
    ) {
        let method = Method::ALL[method];
        let _ = (nvme::Controller::parse(&page), nvme::namespaces(&page));
        let _ = (nvme::Namespace::parse(1, &page), nvme::status(&page, method, at(0)));
        let _ = (ata::Disk::parse(&page), scsi::Unit::parse(&page), scsi::serial(&page));
        let _ = (scsi::part(&page), scsi::Sense::parse(&page), scsi::is_supported(&page));
        let mut course = Course::begin(plan_for(method), None);
        for (number, kind) in kinds.iter().enumerate() {
            let answer = match kind {
                0 => Answer::Done(page.clone()),
                1 => Answer::Refused("no".to_owned()),
                _ => Answer::Lost("gone".to_owned()),
            };
            course.answered(&answer, disks::moment(number as u64 * 1000));
        }
        prop_assert!(course.sightings().len() <= 64);
    }

    #[test]
    fn no_status_that_stays_the_same_is_a_pass(status: u16, last: u32, progress: u16) {
        // In progress all the time is new: it is not what stays.
        prop_assume!(status & 7 != 2);
        let method = Method::NvmeSanitizeBlock;
        let page = disks::log_page(progress, status, last);
        let before = nvme::status(&page, method, Timestamp::default()).expect("read").0;
        let mut course = Course::begin(plan_for(method), Some(before));
        for second in 0..200_000 {
            let super::Next::Send(_, _) = course.next() else { break };
            course.answered(&Answer::Done(page.clone()), disks::moment(second * 1000));
        }
        let super::Next::End(stop) = course.next() else { panic!("it does not end") };
        let facts = measured(&course, stop, 0);
        prop_assert_eq!(conclude(&facts, method).result, WipeResult::Failed);
    }
}
