use tenure_protocol::digest::Digest;
use uuid::Uuid;

use super::*;
use crate::core::record::content::{Support, YearlyAssessment};

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);
const HOUR_MS: i64 = 3_600_000;

fn actor(name: &str, role: Role) -> Actor {
    let customer = (role == Role::Customer).then(|| "bureau".to_owned());
    Actor { name: name.to_owned(), role, customer }
}

fn tenant() -> Tenant {
    let form = include_str!("../../../cli/src/application.example.json");
    let mut application: crate::core::tenant::Application =
        serde_json::from_str(form).expect("the example");
    application.customer = "bureau".to_owned();
    let images = [crate::core::fleet::Image {
        name: application.instances[0].image.clone(),
        kernel: Digest::of(b"kernel"),
        initrd: Digest::of(b"initrd"),
        cmdline: String::new(),
    }];
    let calendar = crate::core::calendar::Calendar::shipped().expect("a calendar");
    let rules = crate::core::rules::Rules::shipped().expect("rules");
    let fleet = crate::core::fleet::Fleet { images: images.to_vec(), ..Default::default() };
    let context = crate::core::lifecycle::Context {
        now: NOW,
        real_now: NOW,
        seed: [1; 32],
        calendar: &calendar,
        rules: &rules,
        provider: &crate::core::lifecycle::Provider::default(),
        letters: &crate::core::letter::Letters::shipped().expect("words"),
        fleet: &fleet,
        filed: &BTreeSet::new(),
    };
    let customer = actor("li", Role::Customer);
    crate::core::lifecycle::open(&application, &customer, &context).expect("submitted").tenant
}

fn scan() -> Document {
    Document { title: "scan.pdf".to_owned(), sha256: Digest::of(b"scan") }
}

fn support() -> Content {
    Content::Support { service: Support::Training, summary: "two hours".to_owned() }
}

fn access(sealed: bool) -> Content {
    let text = |text: &str| text.to_owned();
    Content::LawfulAccess {
        authority: text("bureau of public security"),
        document_no: text("31"),
        scope: text("logs of September"),
        sealed,
    }
}

struct World {
    tenant: Tenant,
    filed: BTreeSet<Digest>,
}

impl World {
    fn new() -> Self {
        Self { tenant: tenant(), filed: BTreeSet::from([scan().sha256]) }
    }

    fn ground<'a>(&'a self, now: Timestamp, related: Option<&'a Record>) -> Ground<'a> {
        Ground { now, tenant: Some(&self.tenant), related, filed: &self.filed }
    }

    fn add(
        &self,
        content: Content,
        age_ms: i64,
        documents: &[Document],
        who: &Actor,
    ) -> Result<Record, Code> {
        self.add_to(content, age_ms, documents, who, None)
    }

    fn add_to(
        &self,
        content: Content,
        age_ms: i64,
        documents: &[Document],
        who: &Actor,
        related: Option<&Record>,
    ) -> Result<Record, Code> {
        let documents = documents.to_vec();
        let new = NewRecord { content, effective_at: Some(NOW.plus_ms(-age_ms)), documents };
        let id = RecordId::from_uuid(Uuid::from_u128(1));
        new.add(id, who, &self.ground(NOW, related)).map_err(|refusal| refusal.code)
    }

    fn confirm(&self, record: &mut Record, who: &Actor, agreed: bool) -> Result<(), Code> {
        let said = record.confirm(who, agreed, "seen", &self.ground(NOW, None));
        record.confirmations.push(said.map_err(|refusal| refusal.code)?);
        Ok(())
    }
}

#[test]
fn what_is_recorded_within_a_day_counts_at_once_and_later_needs_a_scan_and_a_second_person() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    let soon = world.add(support(), LATE_MS, &[], &sun).expect("in time");
    assert_eq!(soon.standing(), RecordStanding::Counts { since: NOW });
    let late = LATE_MS + 1;
    assert_eq!(world.add(support(), late, &[], &sun), Err(Code::DocumentMissing));
    let mut record = world.add(support(), late, &[scan()], &sun).expect("with a scan");
    assert_eq!(record.standing(), RecordStanding::Waits { persons: 1 });
    assert!(!record.counts());
    assert_eq!(world.confirm(&mut record, &sun, true), Err(Code::SeparationOfDuties));
    let li = actor("li", Role::Reviewer);
    assert_eq!(world.confirm(&mut record, &li, true), Err(Code::SeparationOfDuties), "applied");
    assert_eq!(world.confirm(&mut record, &actor("wu", Role::Auditor), true), Err(Code::WrongRole));
    assert_eq!(world.confirm(&mut record, &actor("zhao", Role::Reviewer), true), Ok(()));
    assert_eq!(record.standing(), RecordStanding::Counts { since: NOW });
    let again = world.confirm(&mut record, &actor("qian", Role::Security), true);
    assert_eq!(again, Err(Code::AlreadyDecided));
}

#[test]
fn a_fact_of_the_future_is_none() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    assert_eq!(world.add(support(), -1, &[], &sun), Err(Code::InvalidInput));
    assert!(world.add(support(), 0, &[], &sun).is_ok());
}

#[test]
fn a_rejected_record_counts_for_nothing_whatever_is_said_later() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    let mut record = world.add(support(), 2 * LATE_MS, &[scan()], &sun).expect("with a scan");
    world.confirm(&mut record, &actor("zhao", Role::Reviewer), false).expect("rejected");
    assert_eq!(record.standing(), RecordStanding::Rejected { at: NOW });
    let again = world.confirm(&mut record, &actor("qian", Role::Security), true);
    assert_eq!(again, Err(Code::AlreadyDecided));
}

#[test]
fn a_document_has_to_be_filed_where_the_record_belongs() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    let other = Document { title: "x".to_owned(), sha256: Digest::of(b"x") };
    assert_eq!(world.add(support(), 0, &[other], &sun), Err(Code::UnknownAttachment));
    let many = vec![scan(); DOCUMENTS_LIMIT + 1];
    assert_eq!(world.add(support(), 0, &many, &sun), Err(Code::InvalidInput));
}

#[test]
fn lawful_access_needs_the_document_and_two_persons_beside_the_one_who_recorded_it() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    assert_eq!(world.add(access(false), 0, &[], &sun), Err(Code::DocumentMissing));
    let mut record = world.add(access(false), 0, &[scan()], &sun).expect("with its document");
    let shown = |access: &Record| Content::AccessShown {
        access: access.id,
        shown: "the logs".to_owned(),
        officers: vec!["036012".to_owned()],
    };
    let show = |access: &Record, age_ms| {
        world.add_to(shown(access), age_ms, &[], &sun, Some(access)).map(|record| record.sealed)
    };
    assert_eq!(show(&record, 0), Err(Code::AccessNotApproved));
    let qian = actor("qian", Role::Security);
    world.confirm(&mut record, &qian, true).expect("one");
    assert_eq!(record.standing(), RecordStanding::Waits { persons: 1 });
    assert_eq!(world.confirm(&mut record, &qian, true), Err(Code::SeparationOfDuties));
    assert_eq!(show(&record, 0), Err(Code::AccessNotApproved), "one approver is not two");
    world.confirm(&mut record, &actor("zhao", Role::Reviewer), true).expect("two");
    assert_eq!(show(&record, HOUR_MS), Err(Code::AccessNotApproved), "shown before the approval");
    assert_eq!(show(&record, 0), Ok(false));
}

#[test]
fn a_sealed_access_and_what_was_shown_on_it_are_the_platforms_and_no_customer_sees_them() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    let li = actor("li", Role::Customer);
    let open = world.add(access(false), 0, &[scan()], &sun).expect("open");
    assert_eq!(open.owner(), Some(world.tenant.id));
    assert!(open.is_visible(&li));
    let sealed = world.add(access(true), 0, &[scan()], &sun).expect("sealed");
    assert_eq!(sealed.owner(), None);
    assert_eq!(sealed.tenant, Some(world.tenant.id));
    assert!(!sealed.is_visible(&li));
    assert!(sealed.is_visible(&actor("wu", Role::Auditor)));
    let content = Content::AccessShown {
        access: sealed.id,
        shown: "the logs".to_owned(),
        officers: vec!["036012".to_owned()],
    };
    assert!(content.is_sealed(Some(&sealed)));
}

#[test]
fn what_was_shown_needs_a_lawful_access_of_this_tenant() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    let access = world.add(access(false), 0, &[scan()], &sun).expect("an access");
    let shown = || Content::AccessShown {
        access: access.id,
        shown: "the logs".to_owned(),
        officers: vec!["036012".to_owned()],
    };
    let add = |related| world.add_to(shown(), 0, &[], &sun, related).map(drop);
    assert_eq!(add(None), Err(Code::UnknownRecord));
    let elsewhere = Record { tenant: None, ..access.clone() };
    assert_eq!(add(Some(&elsewhere)), Err(Code::UnknownRecord));
    let other = world.add(support(), 0, &[], &sun).expect("another kind");
    assert_eq!(add(Some(&other)), Err(Code::UnknownRecord));
    assert_eq!(add(Some(&access)), Err(Code::AccessNotApproved), "it is found");
}

#[test]
fn each_kind_is_recorded_by_its_roles_at_its_place() {
    let world = World::new();
    let assessment = Content::PlatformAssessment {
        assessment: YearlyAssessment::Risk,
        assessor: "centre".to_owned(),
        report_no: "17".to_owned(),
        conclusion: "met".to_owned(),
    };
    let qian = actor("qian", Role::Security);
    assert_eq!(world.add(assessment.clone(), 0, &[scan()], &qian), Err(Code::InvalidInput));
    let id = RecordId::from_uuid(Uuid::from_u128(1));
    let new = NewRecord { content: assessment, effective_at: None, documents: vec![scan()] };
    let ground = Ground { now: NOW, tenant: None, related: None, filed: &world.filed };
    let record = new.clone().add(id, &qian, &ground).expect("of the platform");
    assert_eq!((record.tenant, record.effective_at), (None, NOW));
    assert!(!record.is_visible(&actor("li", Role::Customer)));
    let refused = new.add(id, &actor("li", Role::Customer), &ground).expect_err("a customer");
    assert_eq!(refused.code, Code::WrongRole);
    let letter = Content::ResponsibilityLetter { signed_by: "wan".to_owned() };
    assert_eq!(world.add(letter.clone(), 0, &[scan()], &qian), Err(Code::WrongRole));
    let other = Actor { customer: Some("other".to_owned()), ..actor("bo", Role::Customer) };
    assert_eq!(world.add(letter.clone(), 0, &[scan()], &other), Err(Code::NotYourTenant));
    assert!(world.add(letter, 0, &[scan()], &actor("li", Role::Customer)).is_ok());
    let operator = actor("li", Role::Operator);
    assert_eq!(world.add(support(), 0, &[], &operator), Err(Code::SeparationOfDuties));
}

#[test]
fn empty_texts_and_lists_are_refused() {
    let world = World::new();
    let sun = actor("sun", Role::Operator);
    for content in [
        Content::Support { service: Support::Training, summary: " ".to_owned() },
        Content::HandoverReceipt { received_by: "xu".to_owned(), items: Vec::new() },
        Content::HandoverReceipt { received_by: "xu".to_owned(), items: vec![String::new()] },
        Content::HandoverReceipt { received_by: "xu".to_owned(), items: vec!["a".into(); 201] },
    ] {
        assert_eq!(world.add(content, 0, &[], &sun), Err(Code::InvalidInput));
    }
}
