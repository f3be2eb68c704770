//! Stored tenants of every format that ever was: a later build has to read them.

use serde_json::Value;

use super::*;
use crate::core::tenant::{Chase, format};

/// One golden tenant of each format, oldest first. None is ever changed; the last may be written
/// anew while its format is in no release.
const STORED: [&str; format::NUMBER as usize] = [include_str!("tenant/stored/1.json")];

/// A tenant with as much in it as there can be at once.
fn full() -> Tenant {
    let mut world = World::new();
    let mut tenant = world.submitted();
    let by = |world: &mut World, tenant: &mut Tenant, role, name: &str, event: &Event| {
        world.by(tenant, role, name, event).expect("it is lawful");
    };
    let reason = || said("a reason");
    by(&mut world, &mut tenant, Role::Reviewer, "zhao", &approve());
    world.obey(&mut tenant);
    let notice = tenant.handover[0];
    let event = Event::NoticeDelivered { notice, grade: Grade::E2, at: world.now };
    world.apply(&mut tenant, &event).expect("delivered");
    let ask = Event::RequestExtension { days: 20, reason: reason() };
    by(&mut world, &mut tenant, Role::Customer, "li", &ask);
    by(&mut world, &mut tenant, Role::Reviewer, "zhao", &extension(&["wu", "zheng"]));
    by(&mut world, &mut tenant, Role::Customer, "li", &reports());
    let (decision, items) = (ReportsDecision::Fail, vec![said("close the port")]);
    let fail = Event::ReviewReports { decision, opinion: said("not yet"), items };
    by(&mut world, &mut tenant, Role::Reviewer, "zhao", &fail);
    let mend = Event::Rectify { item: 1, note: said("mended"), evidence: document() };
    by(&mut world, &mut tenant, Role::Customer, "li", &mend);
    by(&mut world, &mut tenant, Role::Customer, "li", &reports());
    by(&mut world, &mut tenant, Role::Reviewer, "zhao", &pass());
    let file = Event::FileIcp { filing: filing() };
    by(&mut world, &mut tenant, Role::Customer, "li", &file);
    by(&mut world, &mut tenant, Role::Reviewer, "zhao", &confirm_icp(true));
    by(&mut world, &mut tenant, Role::Customer, "li", &file);
    let file = Event::FileAssessment { assessment: assessment() };
    by(&mut world, &mut tenant, Role::Customer, "li", &file);
    world.obey(&mut tenant);
    let cut = Event::Cut { kind: CutKind::Emergency, reason: reason() };
    by(&mut world, &mut tenant, Role::Operator, "sun", &cut);
    world.obey(&mut tenant);
    by(&mut world, &mut tenant, Role::Operator, "sun", &Event::Restore { reason: reason() });
    world.obey(&mut tenant);
    let ask = leave(world.now, 3, true);
    by(&mut world, &mut tenant, Role::Customer, "li", &ask);
    let waive = Event::WaivePeriod { reason: reason() };
    by(&mut world, &mut tenant, Role::Operator, "sun", &waive);
    let grant = Event::ReviewOffboarding { decision: Decision::Approve, opinion: said("sound") };
    by(&mut world, &mut tenant, Role::Reviewer, "zhao", &grant);
    for instant in ["2026-09-21T16:00:00Z", "2026-10-12T16:00:00Z"] {
        world.now = instant.parse().expect("an instant");
        world.apply(&mut tenant, &Event::Tick).expect("a tick");
    }
    let is_record = |event: &Event| matches!(event, Event::RecordCounts { .. });
    let counts = of_the_controller(world.now).into_iter().find(is_record).expect("a record");
    world.apply(&mut tenant, &counts).expect("a check");
    let record = served(world.now);
    by(&mut world, &mut tenant, Role::Operator, "sun", &record);
    let (kind, document) = (HoldKind::LegalHold, document());
    let place = Event::PlaceHold { kind, document, reason: reason() };
    by(&mut world, &mut tenant, Role::Security, "han", &place);
    tenant
}

#[test]
fn a_stored_tenant_of_each_format_is_read() {
    let last = STORED.last().expect("a format");
    for text in STORED {
        let tenant: Tenant = serde_json::from_str(text).expect("it is read");
        let Some(leaving) = &tenant.offboarding else { panic!("it was leaving") };
        assert!(matches!(leaving.chase, Chase::Second { served: None, .. }));
        assert!(tenant.is_held() && tenant.icp.is_some() && tenant.assessment.is_some());
        assert!(tenant.deciders.contains("zhao") && tenant.applicants.contains("li"));
        assert_eq!((tenant.rectifications.len(), tenant.cuts.len()), (1, 1));
        assert_eq!(tenant.trial.as_ref().map(|trial| trial.extended_days), Some(20));
        let written = serde_json::to_value(&tenant).expect("JSON");
        assert_eq!(written["format"], format::NUMBER, "what is read is written as today");
        if text == *last {
            let stored: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(written, stored, "nothing of it is lost");
        }
    }
}

#[test]
fn what_is_stored_today_has_the_shape_of_the_last_golden_tenant() {
    let found = serde_json::to_value(full()).expect("JSON");
    let stored: Value = serde_json::from_str(STORED[STORED.len() - 1]).expect("JSON");
    assert!(
        found == stored,
        "a stored format never changes: core/tenant/format.rs says how another is added; now it \
         would be\n{found:#}"
    );
}

#[test]
fn a_format_that_this_build_does_not_know_is_refused_in_words() {
    for number in [0, format::NUMBER + 1] {
        let mut stored: Value = serde_json::from_str(STORED[0]).expect("JSON");
        stored["format"] = Value::from(number);
        let error = serde_json::from_value::<Tenant>(stored).expect_err("not known").to_string();
        assert!(error.contains(&format!("stored in format {number}")), "{error}");
    }
}
