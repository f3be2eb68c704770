//! The customer is told although the controller is silent: real engines on both sides, with the
//! fleet's own time.

use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use tenure_agent::engine::watch::{Errand, Input};
use tenure_controller::{
    core::{
        duty::Need,
        lifecycle::{CutKind, Decision, Event, Role},
        notice::{NoticeKind, NoticeState, Outcome, Try},
        obligation::{ObligationId, ObligationState},
        tenant::Tenant,
        watch::Witness,
    },
    engine::{NoticeRow, Page, WatchWord},
};
use tenure_protocol::{
    channel::Grade,
    evidence::predicate::{Predicate, notification::NoticeOutcome},
    id::{CutId, HostId, TenantId},
    time::Timestamp,
    wire::watch::{Destination, Disarm, DisarmReason, SignedDisarm, WatchReport, WatchSaid},
};
use tenure_tests::fleet::{ARRIVES, Fleet, application, customer, provider};
use uuid::Uuid;

const QUIET: fn(&Errand) -> (Option<Grade>, &'static str) = |_| (None, "connection refused");

/// A tenant on trial, its emergency cut in force, and all that it takes to look at it.
struct Cut {
    fleet: Fleet,
    tenant: TenantId,
    cut: CutId,
    t0: Timestamp,
    ordered: Vec<String>,
    witness: String,
}

async fn cut(hosts: &[&str]) -> (Fleet, Tenant) {
    let mut fleet = Fleet::start().await.expect("a fleet");
    for name in hosts {
        fleet.join(name).await.expect("joined");
    }
    let id = fleet.controller.submit(customer("li"), application()).await.expect("submitted").id;
    let approve = Event::Review { decision: Decision::Approve, opinion: "sound".to_owned() };
    let reviewer = provider("zhao", Role::Reviewer);
    fleet.controller.act(reviewer, id, approve).await.expect("approved");
    fleet.settle().await.expect("configured");
    fleet.deliver(ARRIVES).await.expect("delivered");
    let flood = Event::Cut { kind: CutKind::Emergency, reason: "flood".to_owned() };
    fleet.controller.act(provider("sun", Role::Operator), id, flood).await.expect("cut");
    // The packet is there before the order, and the witness's with it.
    fleet.settle().await.expect("hosts cut");
    let tenant = fleet.controller.tenant(id).await.expect("kept");
    (fleet, tenant)
}

impl Cut {
    async fn new() -> Self {
        let (fleet, tenant) = cut(&["alpha", "beta", "gamma", "delta"]).await;
        let known = tenant.last_cut().expect("a cut");
        let Witness::Host(host) = known.witness else { panic!("{:?}", known.witness) };
        let hosts = tenant.hosts();
        let names = |is: &dyn Fn(HostId) -> bool| -> Vec<String> {
            let named = fleet.members.iter().filter(|(_, member)| is(member.id));
            named.map(|(name, _)| name.clone()).collect()
        };
        let ordered = names(&|id| hosts.contains(&id));
        let witness = names(&|id| id == host).remove(0);
        assert!(!ordered.is_empty() && !ordered.contains(&witness));
        let t0 = known.t0.expect("committed").earliest;
        Self { tenant: tenant.id, cut: known.id, t0, ordered, witness, fleet }
    }

    fn id(&self, name: &str) -> HostId {
        self.fleet.members[name].id
    }

    fn at(&self, seconds: i64) -> Timestamp {
        self.t0.plus_ms(seconds * 1000)
    }

    /// Lets so many seconds after t0 come for the hosts alone, and gives whom a host asks to tell.
    fn hosts_at(
        &mut self,
        seconds: i64,
        name: &str,
        answer: impl Fn(&Errand) -> (Option<Grade>, &'static str),
    ) -> usize {
        self.fleet.set_time_of_hosts(self.at(seconds));
        self.fleet.members.get_mut(name).expect("known").watching.look(answer).len()
    }

    fn give(&mut self, name: &str, input: Input) {
        self.fleet.members.get_mut(name).expect("known").watching.give(input);
    }

    fn packet(&self, name: &str) -> PathBuf {
        self.fleet.packets_of(name).join(format!("{}.packet", self.cut))
    }

    async fn told(&self) -> ObligationState {
        let tenant = self.fleet.controller.tenant(self.tenant).await.expect("kept");
        let owed = tenant.obligations.iter().find(|owed| owed.id == ObligationId::O12b);
        owed.expect("owed").state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_tell_the_customer_when_the_controller_is_gone_and_report_it_when_it_is_back() {
    let mut cut = Cut::new().await;
    let teller = cut.ordered[0].clone();
    assert_eq!(cut.hosts_at(119, &teller, QUIET), 0, "not before its time");
    assert_eq!(cut.hosts_at(120, &teller, QUIET), 2, "both channels at once");
    assert_eq!(cut.hosts_at(124, &teller, QUIET), 0, "by the ladder");
    let arrives = |errand: &Errand| match errand.notice.to {
        Destination::Mail { .. } => (None, "451 4.3.0 later"),
        Destination::Webhook { .. } => (Some(Grade::E2), "204 No Content"),
    };
    assert_eq!(cut.hosts_at(125, &teller, arrives), 2);
    assert_eq!(cut.hosts_at(135, &teller, QUIET), 0, "one arrival is enough");
    assert!(!cut.packet(&teller).exists(), "and its secrets are gone");
    let witness = cut.witness.clone();
    assert_eq!(cut.hosts_at(135, &witness, QUIET), 2, "a witness cannot know it");

    cut.fleet.set_time_of_hosts(cut.at(390));
    // The controller is back after the limit, and hears of it before it judges.
    let mut cut = Cut { fleet: cut.fleet.restart_controller().await.expect("restarted"), ..cut };
    cut.fleet.set_time(cut.at(400)).await.expect("time passes");
    assert_eq!(cut.told().await, ObligationState::Open, "no breach before the hosts are heard");
    cut.fleet.settle().await.expect("heard");
    assert_eq!(cut.told().await, ObligationState::Discharged { at: cut.at(125) });
    let notices = cut.fleet.controller.notices(cut.tenant, &Page::default()).await.expect("kept");
    let by_host = |attempt: &&Try| attempt.by.as_ref().is_some_and(|by| by.name == teller);
    let tries = notices.items.iter().flat_map(|notice| &notice.tries).filter(by_host);
    let words: Vec<&str> = tries.map(|attempt| attempt.evidence.as_str()).collect();
    assert_eq!(words.len(), 4, "{words:?}");
    assert!(words.contains(&"204 No Content") && words.contains(&"451 4.3.0 later"));
    for name in cut.ordered.iter().chain([&cut.witness]) {
        assert!(!cut.packet(name).exists(), "{name} is disarmed");
        assert!(cut.fleet.controller.watches_to_tell(cut.id(name)).await.expect("read").is_empty());
    }
    let said = cut.statement().await;
    let host = cut.id(&teller);
    let mut delivered = said.iter().filter(|one| one.outcome == NoticeOutcome::Delivered);
    assert!(delivered.all(|one| one.host == Some(host) && one.at == cut.at(125)), "{said:?}");
    assert!(said.iter().any(|one| one.outcome == NoticeOutcome::Delivered));
}

impl Cut {
    /// The tries of the last notification that the controller has signed.
    async fn statement(
        &self,
    ) -> Vec<tenure_protocol::evidence::predicate::notification::NoticeTry> {
        let controller = &self.fleet.controller;
        let all = controller.evidence(self.tenant, &Page::default()).await.expect("read").items;
        let one = all.iter().rfind(|one| one.kind == "notification").expect("signed");
        let key = controller.attestation_key();
        let statement =
            tenure_protocol::evidence::dsse::open_statement(&one.envelope, &key).expect("signed");
        let Predicate::Notification(notification) = statement.predicate() else { panic!("other") };
        notification.tries.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controllers_receipt_alone_disarms_and_what_is_disarmed_stays_so() {
    let mut cut = Cut::new().await;
    let name = cut.ordered[0].clone();
    let mine = Disarm { cut: cut.cut, host: cut.id(&name), reason: DisarmReason::Told };
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let order_key = cut.fleet.controller.keys().order.clone();
    let another = CutId::from_uuid(Uuid::from_u128(7));
    let forged = SignedDisarm::sign(&mine, &stranger).expect("signed");
    let foreign = Disarm { host: cut.id(&cut.witness), ..mine };
    let foreign = SignedDisarm::sign(&foreign, &order_key).expect("signed");
    let replayed = SignedDisarm::sign(&Disarm { cut: another, ..mine }, &order_key);
    for disarm in [forged, foreign, replayed.expect("signed")] {
        cut.give(&name, Input::Disarm(disarm));
        assert!(cut.packet(&name).exists());
    }
    assert_eq!(cut.hosts_at(121, &name, QUIET), 2, "it still watches");

    let row = cut.fleet.controller.watches_to_tell(cut.id(&name)).await.expect("read");
    assert!(row.is_empty(), "nothing to say to a host that has its packet");
    let again = cut.fleet.word_of(cut.cut, cut.id(&name), cut.tenant).await.expect("a packet");
    cut.fleet.set_time(cut.at(121)).await.expect("time passes");
    cut.fleet.deliver(ARRIVES).await.expect("delivered");
    cut.fleet.settle().await.expect("disarmed");
    assert!(!cut.packet(&name).exists());
    let WatchWord::Packet(packet) = again else { panic!("no packet") };
    cut.give(&name, Input::Packet(packet, std::sync::mpsc::sync_channel(1).0));
    cut.fleet.members.get_mut(&name).expect("known").watching.restart();
    assert!(!cut.packet(&name).exists(), "an old packet arms nothing");
    assert_eq!(cut.hosts_at(500, &name, QUIET), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_outlives_its_process_and_counts_from_the_cut_all_the_same() {
    let mut cut = Cut::new().await;
    let (ordered, witness) = (cut.ordered[0].clone(), cut.witness.clone());
    for (name, wrong) in [(&ordered, "t0"), (&witness, "the order")] {
        cut.fleet.members.get_mut(name).expect("known").watching.restart();
        assert_eq!(cut.hosts_at(119, name, QUIET), 0, "{name}: from {wrong}");
        cut.fleet.members.get_mut(name).expect("known").watching.restart();
        assert_eq!(cut.hosts_at(120, name, QUIET), 2, "{name}: from {wrong}");
        cut.fleet.members.get_mut(name).expect("known").watching.restart();
        assert_eq!(cut.hosts_at(124, name, QUIET), 0, "{name}: the rung is tried");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_without_another_host_says_that_it_has_no_witness() {
    let (_fleet, tenant) = cut(&["alpha"]).await;
    assert_eq!(tenant.last_cut().expect("a cut").witness, Witness::NoneUp);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_lease_ran_out_overwrites_nothing_of_the_next_ones() {
    let cut = Cut::new().await;
    let controller = &cut.fleet.controller;
    let due = async |at| {
        let leased = controller.due_notices(at).await.expect("leased");
        leased.into_iter().find(|row: &NoticeRow| row.notice.cut == Some(cut.cut))
    };
    let late = due(cut.at(4)).await.expect("due");
    assert!(due(cut.at(5)).await.is_none_or(|row| row.notice.id != late.notice.id), "leased");
    let newer = controller.due_notices(cut.at(30)).await.expect("leased");
    let newer = newer.into_iter().find(|row| row.notice.id == late.notice.id).expect("again");
    assert!(newer.fence > late.fence);
    let attempt = |seconds, outcome| Try {
        at: cut.at(seconds),
        outcome,
        evidence: format!("at {seconds}"),
        by: None,
    };
    let id = late.notice.id;
    let failed = Outcome::Failed;
    controller.notice_tried(id, newer.fence, attempt(31, failed)).await.expect("recorded");
    let before = notice(&cut, id).await;
    controller.notice_tried(id, late.fence, attempt(12, failed)).await.expect("recorded");
    let after = notice(&cut, id).await;
    assert_eq!(after.state, before.state, "the ladder is where the newer one left it");
    let words: Vec<&str> = after.tries.iter().map(|one| one.evidence.as_str()).collect();
    assert_eq!(words, ["at 12", "at 31"], "both tries stand, in the order of their times");
    controller.notice_tried(id, late.fence, attempt(13, ARRIVES)).await.expect("recorded");
    let told = NoticeState::Delivered { at: cut.at(13), grade: Grade::E2 };
    assert_eq!(notice(&cut, id).await.state, told, "an arrival is a fact, whoever sent it");
}

async fn notice(
    cut: &Cut,
    id: tenure_protocol::id::NoticeId,
) -> tenure_controller::core::notice::Notice {
    let all = cut.fleet.controller.notices(cut.tenant, &Page::default()).await.expect("kept");
    all.items.into_iter().find(|one| one.id == id).expect("kept")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_keep_the_notices_is_on_the_desk_while_the_customer_is_untold() {
    let mut cut = Cut::new().await;
    let controller = cut.fleet.controller.clone();
    let desk = || async {
        let needs = controller.duty().await.expect("read").needs;
        let lost = needs.into_iter().filter(|one| one.need == Need::WatchLost);
        lost.map(|one| (one.about, one.words.unwrap_or_default())).collect::<Vec<_>>()
    };
    let (fleet, tenant) = (&mut cut.fleet, cut.tenant);
    assert_eq!(desk().await, [], "both keep them");
    let again = Event::Restore { reason: "over".to_owned() };
    let operator = || provider("sun", Role::Operator);
    controller.act(operator(), tenant, again).await.expect("restored");
    fleet.settle().await.expect("hosts restored");
    fleet.deliver(ARRIVES).await.expect("delivered");
    let flood = Event::Cut { kind: CutKind::Emergency, reason: "again".to_owned() };
    let second = controller.act(operator(), tenant, flood).await.expect("cut");
    let second = second.last_cut().expect("a cut");
    let (code, message) = ("no-room".to_owned(), "the disk is full".to_owned());
    let said = WatchSaid::NotKept { code, message };
    let report = WatchReport { cut: second.id, sequence: 0, said };
    let Witness::Host(witness) = second.witness else { panic!("{:?}", second.witness) };
    let name = cut.fleet.members.iter().find(|(_, member)| member.id == witness);
    let name = name.expect("known").0.clone();
    controller.watch_reported(witness, report).await.expect("taken");
    assert_eq!(desk().await, [(name, "no-room: the disk is full".to_owned())]);
    cut.fleet.deliver(ARRIVES).await.expect("delivered");
    assert_eq!(desk().await, [], "the customer is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_is_handed_in_again_with_its_secrets_is_not_told_that_it_is_none() {
    let (fleet, tenant) = cut(&["alpha"]).await;
    let contacts = application().contacts;
    let set = Event::SetContacts { contacts };
    fleet.controller.act(customer("li"), tenant.id, set).await.expect("set");
    let page = Page { after: None, limit: 99 };
    let notices = fleet.controller.notices(tenant.id, &page).await.expect("read").items;
    let of = |kind| notices.iter().filter(|notice| notice.kind == kind).count();
    assert_eq!((of(NoticeKind::Probe), of(NoticeKind::ContactsChanged)), (2, 0));
}
