//! Single clauses, beside the stories: what is refused, with which code, and what is counted.

use super::*;

fn last_day(tenant: &Tenant, id: ObligationId) -> String {
    let owed = tenant.obligations.iter().rfind(|owed| owed.id == id).expect("owed");
    owed.due.last_day().expect("a day").to_string()
}

pub(super) fn at(world: &mut World, instant: &str) {
    world.now = instant.parse().expect("an instant");
}

fn ask(days: u32) -> Event {
    Event::RequestExtension { days, reason: said("much to migrate") }
}

#[test]
fn a_trial_is_extended_from_its_raw_end_by_thirty_days_in_all() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    assert_eq!(last_day(&tenant, ObligationId::O7a), "2026-10-08");
    for days in [0, 31] {
        let refusal = world.apply(&mut tenant, &ask(days)).expect_err("too long");
        assert_eq!(refusal.code, Code::ExtensionTooLong);
    }
    world.apply(&mut tenant, &ask(10)).expect("asked");
    let code = |outcome: Result<Vec<Effect>, Refusal>| outcome.expect_err("refused").code;
    assert_eq!(code(world.apply(&mut tenant, &ask(10))), Code::ExtensionPending);
    for experts in [&[][..], &["wu"], &["wu", "wu"], &["wu", "li"]] {
        assert_eq!(code(world.apply(&mut tenant, &extension(experts))), Code::ExpertsMissing);
    }
    world.apply(&mut tenant, &extension(&["wu", "zheng"])).expect("granted");
    assert_eq!(last_day(&tenant, ObligationId::O7a), "2026-10-12", "raw 10-11 is a Sunday");
    assert_eq!(code(world.apply(&mut tenant, &ask(21))), Code::ExtensionTooLong);
    world.apply(&mut tenant, &ask(20)).expect("asked");
    world.apply(&mut tenant, &extension(&["wu", "zheng"])).expect("granted");
    let trial = tenant.trial.as_ref().expect("a trial");
    assert_eq!(trial.raw_end.to_string(), "2026-10-31");
    assert_eq!(last_day(&tenant, ObligationId::O6a), "2026-11-02");
    assert_eq!(code(world.apply(&mut tenant, &ask(1))), Code::ExtensionTooLong);
}

#[test]
fn a_trial_of_no_major_system_and_one_that_is_over_are_not_extended() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    world.apply(&mut tenant, &ask(10)).expect("asked");
    at(&mut world, "2026-10-08T16:00:00Z");
    let late = world.apply(&mut tenant, &extension(&["wu", "zheng"])).expect_err("over");
    assert_eq!(late.code, Code::TrialOver);
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::TrialExpired);
    assert!(matches!(owed(&tenant, ObligationId::O6b), ObligationState::Breached { .. }));
    let mut world = World::new();
    let mut minor = world.on_trial();
    minor.application.system.major = false;
    assert_eq!(world.apply(&mut minor, &ask(10)).expect_err("minor").code, Code::NotMajor);
}

#[test]
fn a_suspended_review_goes_on_where_it_stopped_and_keeps_its_gross_deadline() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    assert_eq!(last_day(&tenant, ObligationId::O3), "2026-09-08");
    at(&mut world, "2026-09-03T02:00:00Z");
    let wait = Event::SuspendReview { reason: said("the fire brigade's opinion") };
    world.apply(&mut tenant, &wait).expect("suspended");
    assert_eq!(world.apply(&mut tenant, &wait).expect_err("twice").code, Code::WrongSuspension);
    at(&mut world, "2026-09-21T02:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(owed(&tenant, ObligationId::O3), ObligationState::Open, "its clock stands still");
    world.apply(&mut tenant, &Event::ResumeReview).expect("resumed");
    // Two of five Work days were used (09-02, 09-03); three remain, from 09-22 on.
    assert_eq!(last_day(&tenant, ObligationId::O3), "2026-09-24");
    let known = tenant.obligations.iter().rfind(|owed| owed.id == ObligationId::O3);
    let gross = known.expect("owed").gross().last_day().expect("a day");
    assert_eq!(gross.to_string(), "2026-09-08");
    at(&mut world, "2026-09-24T16:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert!(matches!(owed(&tenant, ObligationId::O3), ObligationState::Breached { .. }));
    let late = world.apply(&mut tenant, &wait).expect_err("overdue");
    assert_eq!(late.code, Code::DeadlinePassed);
}

#[test]
fn what_a_failed_review_asks_is_rectified_item_by_item() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let reports = reports();
    world.apply(&mut tenant, &reports).expect("reports");
    let fail = |items: &[&str]| Event::ReviewReports {
        decision: ReportsDecision::Fail,
        opinion: said("not yet"),
        items: items.iter().map(|item| said(item)).collect(),
    };
    let bare = world.apply(&mut tenant, &fail(&[])).expect_err("nothing to rectify");
    assert_eq!(bare.code, Code::ItemsMissing);
    world.apply(&mut tenant, &fail(&["weak passwords", "open port"])).expect("failed");
    let early = world.apply(&mut tenant, &reports).expect_err("two items are open");
    assert_eq!(early.code, Code::NotRectified);
    assert!(early.sentence.contains("open port"), "{early}");
    let mend = |item| Event::Rectify { item, note: said("mended"), evidence: document() };
    world.apply(&mut tenant, &mend(1)).expect("item 1");
    let twice = world.apply(&mut tenant, &mend(1)).expect_err("item 1 again");
    assert_eq!(twice.code, Code::UnknownItem);
    world.apply(&mut tenant, &mend(2)).expect("item 2");
    world.apply(&mut tenant, &reports).expect("reports");
}

#[test]
fn ports_for_the_internet_open_in_formal_operation_and_with_the_filing() {
    let opens_443 = |rule: &v1::PacketRule| *rule == v1::PacketRule::open(Transport::Tcp, 443);
    let port_open = |effects: &[Effect]| {
        effects.iter().any(|effect| {
            matches!(effect, Effect::Order(OrderDraft { action: v1::Action::Configure(wanted), .. })
                if wanted.instances.iter().any(|one| one.nic.ingress.iter().any(opens_443)))
        })
    };
    let mut world = World::new();
    let mut tenant = world.online();
    assert!(!tenant.opens(Zone::Internet) && tenant.opens(Zone::Extranet));
    let open = Event::OpenIcp { reason: said("the filing is under way") };
    let strict = world.apply(&mut tenant, &open).expect_err("strict");
    assert_eq!(strict.code, Code::IcpGateStrict);
    let unfiled = world.apply(&mut tenant, &confirm_icp(true)).expect_err("nothing is filed");
    assert_eq!(unfiled.code, Code::NothingToConfirm);
    let effects = world.apply(&mut tenant, &Event::FileIcp { filing: filing() }).expect("filed");
    assert!(effects.is_empty() && !tenant.opens(Zone::Internet), "nobody has looked it up yet");
    assert!(matches!(owed(&tenant, ObligationId::O9), ObligationState::Discharged { .. }));
    let own = world.by(&mut tenant, Role::Reviewer, "li", &confirm_icp(true));
    assert_eq!(own.expect_err("who filed it").code, Code::SeparationOfDuties);
    let effects = world.apply(&mut tenant, &confirm_icp(true)).expect("confirmed");
    assert!(port_open(&effects));
    let text = crate::core::rules::SHIPPED.replace("\"strict\"", "\"standard\"");
    world.rules = Rules::parse(&text).expect("rules");
    let mut other = world.online();
    let effects = world.apply(&mut other, &open).expect("opened");
    assert!(port_open(&effects) && other.icp_opening.is_some());
    assert_eq!(owed(&other, ObligationId::O9), ObligationState::Open, "it still has to file");
}

#[test]
fn who_decided_for_the_provider_does_not_act_for_the_customer() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let declare = Event::DeclareDeployment;
    let refusal = world.by(&mut tenant, Role::Customer, "zhao", &declare).expect_err("a reviewer");
    assert_eq!(refusal.code, Code::SeparationOfDuties);
    world.by(&mut tenant, Role::Customer, "chu", &declare).expect("a colleague");
    assert!(tenant.trial.as_ref().is_some_and(|trial| trial.deployment_started_at.is_some()));
}

#[test]
fn a_trial_can_be_left_and_an_expired_one_too_but_not_kept_open_by_leaving() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let ask = leave(world.now, 90, false);
    world.apply(&mut tenant, &ask).expect("asked");
    let review = |decision| Event::ReviewOffboarding { decision, opinion: said("as it is") };
    world.apply(&mut tenant, &review(Decision::Reject)).expect("rejected");
    assert_eq!(tenant.phase, Phase::Trial, "back to where it was asked");
    world.apply(&mut tenant, &ask).expect("asked again");
    world.apply(&mut tenant, &review(Decision::Approve)).expect("granted");
    assert!(matches!(owed(&tenant, ObligationId::O7a), ObligationState::Lapsed { .. }));
    at(&mut world, "2026-10-08T16:00:00Z");
    let effects = world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert_eq!(tenant.phase, Phase::OffboardingApproved);
    assert!(!effects.is_empty() && !tenant.opens(Zone::Extranet), "the trial's days are over");
}

#[test]
fn a_hand_over_notice_that_found_no_way_is_sent_again() {
    let mut world = World::new();
    let mut tenant = world.submitted();
    world.apply(&mut tenant, &approve()).expect("approved");
    let early = world.apply(&mut tenant, &Event::RetryConfiguration).expect_err("hosts work");
    assert_eq!(early.code, Code::WrongPhase);
    world.obey(&mut tenant);
    world.apply(&mut tenant, &Event::RetryConfiguration).expect("sent again");
    assert_eq!(tenant.handover.len(), 2);
    let notice = tenant.handover[0];
    let event = Event::NoticeDelivered { notice, grade: Grade::E2, at: world.now };
    world.apply(&mut tenant, &event).expect("delivered");
    assert_eq!(tenant.phase, Phase::Trial, "whichever copy arrives first");
}

#[test]
fn a_planned_cut_waits_until_a_notice_has_reached_the_customer() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let cut = Event::Cut { kind: CutKind::Planned, reason: said("a new switch") };
    let announce = Event::AnnounceCut { reason: said("a new switch") };
    let code = |outcome: Result<Vec<Effect>, Refusal>| outcome.expect_err("refused").code;
    assert_eq!(code(world.apply(&mut tenant, &cut)), Code::NotNotified);
    world.apply(&mut tenant, &announce).expect("announced");
    assert_eq!(code(world.apply(&mut tenant, &announce)), Code::AlreadyAnnounced);
    assert_eq!(code(world.apply(&mut tenant, &cut)), Code::NotNotified);
    let notice = tenant.announcement.as_ref().expect("announced").notices[0];
    let at = world.now;
    let sent = Event::NoticeDelivered { notice, grade: Grade::E1, at };
    world.apply(&mut tenant, &sent).expect("only sent");
    assert_eq!(code(world.apply(&mut tenant, &cut)), Code::NotNotified);
    let delivered = Event::NoticeDelivered { notice, grade: Grade::E2, at };
    world.apply(&mut tenant, &delivered).expect("delivered");
    assert!(matches!(owed(&tenant, ObligationId::O12a), ObligationState::Discharged { .. }));
    world.apply(&mut tenant, &cut).expect("cut");
    world.obey(&mut tenant);
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
    let ids = |id| tenant.obligations.iter().filter(|owed| owed.id == id).count();
    assert_eq!((ids(ObligationId::O12b), ids(ObligationId::O12c)), (0, 1));
}

#[test]
fn a_filing_that_is_not_in_the_register_opens_nothing_and_is_owed_by_the_same_day() {
    let file = Event::FileIcp { filing: filing() };
    let mut world = World::new();
    let mut tenant = world.online();
    let due = last_day(&tenant, ObligationId::O9);
    world.apply(&mut tenant, &file).expect("filed");
    at(&mut world, "2026-09-20T00:00:00Z");
    let effects = world.apply(&mut tenant, &confirm_icp(false)).expect("it is not there");
    assert!(effects.is_empty() && !tenant.opens(Zone::Internet));
    assert_eq!(owed(&tenant, ObligationId::O9), ObligationState::Open, "owed again");
    assert_eq!(last_day(&tenant, ObligationId::O9), due);
    at(&mut world, "2026-12-01T00:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    assert!(matches!(owed(&tenant, ObligationId::O9), ObligationState::Breached { .. }));
    // One that was found stands, until a later one is found.
    world.apply(&mut tenant, &file).expect("filed");
    world.apply(&mut tenant, &confirm_icp(true)).expect("found");
    world.apply(&mut tenant, &file).expect("filed anew");
    assert!(tenant.opens(Zone::Internet));
    world.apply(&mut tenant, &confirm_icp(false)).expect("the new one is not there");
    assert!(tenant.opens(Zone::Internet) && tenant.icp_filed.is_none());
    let owed = tenant.obligations.iter().filter(|owed| owed.id == ObligationId::O9).count();
    assert_eq!(owed, 2);
}

#[test]
fn an_assessment_of_a_lower_level_than_the_systems_is_refused() {
    let mut world = World::new();
    let mut tenant = world.online();
    let file = |level| Event::FileAssessment { assessment: Assessment { level, ..assessment() } };
    tenant.application.form = serde_json::json!({"system": {"mlps_level": 3}});
    let lower = world.apply(&mut tenant, &file(2)).expect_err("too low");
    assert_eq!(lower.code, Code::LevelTooLow);
    assert_eq!(owed(&tenant, ObligationId::O8), ObligationState::Open);
    world.apply(&mut tenant, &file(3)).expect("its own level");
    assert!(matches!(owed(&tenant, ObligationId::O8), ObligationState::Discharged { .. }));
}

#[test]
fn one_file_is_not_both_reports() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    let renamed = Document { title: said("another title"), ..document() };
    let one = Event::SubmitReports { test_report: document(), security_report: renamed };
    let refusal = world.apply(&mut tenant, &one).expect_err("one file");
    assert_eq!(refusal.code, Code::SameDocument);
    assert_eq!(tenant.phase, Phase::Trial);
    world.apply(&mut tenant, &reports()).expect("two files");
}

/// The second notice has gone out, on 2026-11-07, and reached nobody over a channel.
#[test]
fn a_notice_counts_in_the_system_alone_that_its_contact_designated() {
    use crate::core::notice::{Outcome, Try};
    let mut world = World::new();
    let mut form = application();
    form.contacts[0].webhook = Some(crate::core::tenant::Webhook {
        url: said("https://bureau.example/hook"),
        secret: tenure_protocol::channel::Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    });
    let mut tenant = open(&form, &customer(), &world.context()).expect("well formed").tenant;
    world.apply(&mut tenant, &approve()).expect("approved");
    let armed = |effects: Vec<Effect>| -> Vec<crate::core::notice::Notice> {
        let notice = |effect| match effect {
            Effect::Arm(notice) => Some(*notice),
            _ => None,
        };
        effects.into_iter().filter_map(notice).collect()
    };
    let mut notices = Vec::new();
    for event in answers(&tenant, world.now) {
        notices.extend(armed(world.apply(&mut tenant, &event).expect("a sound report")));
    }
    let at = world.now;
    let outcome = Outcome::Accepted { grade: Grade::E2 };
    let taken = || Try { at, outcome, evidence: said("2"), by: None };
    let grades: Vec<_> = notices.iter_mut().map(|notice| notice.record(taken())).collect();
    assert_eq!(grades, [Some(Grade::E2), Some(Grade::E1)], "mail is designated, the webhook not");
    assert_eq!(notices[1].state, NoticeState::Delivered { at, grade: Grade::E1 }, "not sent again");
    assert_eq!(notices[1].tries[0].outcome, Outcome::Accepted { grade: Grade::E1 });

    for (designated, pointer) in
        [(vec![], "/contacts: "), (vec![Designated::Webhook], "/contacts/0/designated: ")]
    {
        let mut form = application();
        form.contacts[0].designated = designated;
        let refusal = open(&form, &customer(), &world.context()).expect_err("no system to reach");
        assert!(refusal.sentence.contains(pointer), "{refusal}");
    }
}

#[test]
fn a_check_is_met_by_its_reports_arrival_and_one_report_is_of_one_month() {
    let mut world = World::new();
    let mut tenant = world.online();
    let check = |number: u128, at: Timestamp, report: &[u8]| {
        let record = tenure_protocol::id::RecordId::from_uuid(Uuid::from_u128(number));
        let (kind, report) = (crate::core::record::Kind::Inspection, Some(Digest::of(report)));
        RecordFact { record, kind, effective_at: at, findings: 2, report }
    };
    at(&mut world, "2026-10-12T01:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    let october = check(1, world.now, b"october");
    let effects =
        world.apply(&mut tenant, &Event::RecordCounts { fact: october }).expect("checked");
    let Some(Effect::Arm(notice)) = effects.first() else { panic!("{effects:?}") };
    assert!(notice.body.contains(&Digest::of(b"october").to_string()), "{}", notice.body);
    assert_eq!(owed(&tenant, ObligationId::O17), ObligationState::Open, "a record is no delivery");
    for (grade, open) in [(Grade::E1, true), (Grade::E2, false)] {
        let event = Event::NoticeDelivered { notice: notice.id, grade, at: world.now };
        world.apply(&mut tenant, &event).expect("it went out");
        assert_eq!(owed(&tenant, ObligationId::O17) == ObligationState::Open, open);
    }
    at(&mut world, "2026-11-02T01:00:00Z");
    world.apply(&mut tenant, &Event::Tick).expect("a tick");
    let again = check(2, world.now, b"october");
    let refusal = paperwork::is_fresh(&tenant, &again).expect_err("last month's report");
    assert_eq!(refusal.code, Code::SameDocument);
    let effects = world.apply(&mut tenant, &Event::RecordCounts { fact: again }).expect("nothing");
    assert!(effects.is_empty() && owed(&tenant, ObligationId::O17) == ObligationState::Open);
    assert_eq!(paperwork::is_fresh(&tenant, &check(3, world.now, b"november")), Ok(()));
}
