//! Who may be cut and connected from the host itself, and under which ids.

use super::*;
use crate::core::sample;
use tenure_protocol::wire::v1::{OrderState, Report};

fn given() -> LocalOrder {
    LocalOrder {
        login: "li".to_owned(),
        uid: 1000,
        by: None,
        reason: "flood".to_owned(),
        at: Timestamp::from_unix_ms(1_788_220_800_000),
    }
}

fn asked(direction: Direction, number: u64) -> Asked {
    let (tenant, mark) = (sample::tenant(1), Some(Mark(0x101)));
    Asked { tenant, mark, direction, given: given(), number, reserved: None }
}

fn admitted(asked: Asked, records: &Records) -> Result<LocalRecord, &'static str> {
    admit(asked, sample::host(), records).map_err(|refusal| refusal.code())
}

/// What follows from a local order that is carried out, and said to the controller or not yet.
fn done(records: &mut Records, record: &LocalRecord, is_said: bool) {
    let stage = LocalStage::Done { envelope: Some(b"{}".to_vec()) };
    records.isolations.insert(record.tenant, record.isolation());
    records.locals.insert(record.id, LocalRecord { stage, ..record.clone() });
    let state = OrderState::Local { envelopes: vec![b"{}".to_vec()] };
    let report = Report { order: record.id, sequence: 1, at: given().at, state };
    if !is_said {
        records.queue.insert(1, report);
    }
}

#[test]
fn a_tenant_that_is_here_is_cut_once_and_by_ids_of_the_host() {
    let mut records = Records::default();
    let cut = admitted(asked(Direction::Cut, 1), &records).expect("cut");
    assert_eq!((cut.cut.mark, cut.generation), (Mark(0x101), Generation(0)));
    assert_eq!(cut.isolation().isolation, Isolation::Cut);
    let again = admitted(asked(Direction::Cut, 2), &records).expect("cut");
    assert!(again.id != cut.id && again.cut.cut != cut.cut.cut, "a number is used once");
    assert_ne!(cut.id.as_uuid(), cut.cut.cut.as_uuid());
    assert_eq!(cut.id.as_uuid().get_version_num(), 7);
    done(&mut records, &cut, false);
    assert_eq!(admitted(asked(Direction::Cut, 3), &records), Err("cut-here"));
    let unknown = Asked { mark: None, ..asked(Direction::Cut, 4) };
    assert_eq!(admitted(unknown, &Records::default()), Err("unknown-tenant"));
    let wordless = LocalOrder { reason: " ".to_owned(), ..given() };
    let wordless = Asked { given: wordless, ..asked(Direction::Cut, 5) };
    assert_eq!(admitted(wordless, &Records::default()), Err("words"));
}

#[test]
fn only_a_local_cut_that_no_order_of_the_controller_took_over_is_ended_here() {
    let mut records = Records::default();
    assert_eq!(admitted(asked(Direction::Restore, 1), &records), Err("not-cut"));
    let cut = admitted(asked(Direction::Cut, 2), &records).expect("cut");
    done(&mut records, &cut, false);
    let restore = admitted(asked(Direction::Restore, 3), &records).expect("restore");
    assert_eq!((restore.cut, restore.generation), (cut.cut, cut.generation));
    assert_eq!(restore.isolation().isolation, Isolation::Connected);
    // A receipt says nothing: it is not signed.
    records.queue.clear();
    assert!(admitted(asked(Direction::Restore, 4), &records).is_ok());
    // The same cut by the controller's order, a generation later.
    let ordered = IsolationRecord { generation: Generation(1), ..cut.isolation() };
    records.isolations.insert(cut.tenant, ordered);
    assert_eq!(admitted(asked(Direction::Restore, 5), &records), Err("restore-by-controller"));
    assert_eq!(admitted(asked(Direction::Cut, 6), &records), Err("cut-by-controller"));
}

#[test]
fn a_cut_that_the_kernel_has_not_taken_yet_may_be_taken_back() {
    let mut records = Records::default();
    let cut = admitted(asked(Direction::Cut, 1), &records).expect("cut");
    records.isolations.insert(cut.tenant, cut.isolation());
    records.locals.insert(cut.id, cut);
    assert!(admitted(asked(Direction::Restore, 2), &records).is_ok());
}

#[test]
fn a_cut_takes_the_reserved_id_which_is_used_then() {
    let mut records = Records::default();
    let reserved = CutId::from_uuid(Uuid::from_u128(99));
    assert!(is_unused(&records, reserved));
    let with = Asked { reserved: Some(reserved), ..asked(Direction::Cut, 1) };
    let cut = admitted(with, &records).expect("cut");
    assert_eq!(cut.cut.cut, reserved);
    done(&mut records, &cut, false);
    assert!(!is_unused(&records, reserved));
    let restore = admitted(asked(Direction::Restore, 2), &records).expect("restore");
    assert_eq!(restore.cut.cut, reserved);
    done(&mut records, &restore, false);
    assert!(!is_unused(&records, reserved), "for ever");
}
