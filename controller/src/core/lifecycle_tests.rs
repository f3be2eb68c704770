use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use tenure_protocol::{
    channel::Grade,
    digest::Digest,
    id::{CutId, HostId, NoticeId},
    time::Timestamp,
    wire::v1::{self, CommitInterval, Power, Transport},
};
use uuid::Uuid;

use super::*;
use crate::core::{
    fleet::{HostRoom, Image},
    group::Zones,
    letter::Letters,
    notice::NoticeState,
    obligation::{ObligationId, ObligationState},
    tenant::{
        Assessment, Contact, Designated, Expert, HoldKind, HoldRegion, IcpFiling, IngressRequest,
        InstanceRequest, Isolation, Phase, System, Zone,
    },
};

const START: &str = "2026-09-01T01:00:00Z";

#[derive(Clone)]
struct World {
    calendar: Calendar,
    rules: Rules,
    provider: Provider,
    letters: Arc<Letters>,
    fleet: Fleet,
    filed: BTreeSet<Digest>,
    now: Timestamp,
    turn: u64,
}

impl World {
    fn new() -> Self {
        let room = |number: u128| HostRoom {
            id: HostId::from_uuid(Uuid::from_u128(number)),
            name: format!("host-{number}"),
            cpus: 8,
            memory_bytes: 8 << 30,
            volume_bytes: 8 << 30,
            vcpus_taken: 0,
            memory_taken: 0,
            volume_taken: 0,
            instances: 0,
        };
        let image = Image {
            name: "small".to_owned(),
            kernel: Digest::of(b"kernel"),
            initrd: Digest::of(b"initrd"),
            cmdline: String::new(),
        };
        let fleet =
            Fleet { hosts: vec![room(1), room(2)], images: vec![image], ..Fleet::default() };
        let calendar = Calendar::shipped().expect("a calendar");
        let rules = Rules::shipped().expect("rules");
        let filed = BTreeSet::from([document().sha256, security().sha256]);
        let desk = |name: &str| Contact {
            name: name.to_owned(),
            email: Some(format!("{name}@cloud.example")),
            ..Contact::default()
        };
        let provider = Provider { contacts: vec![desk("duty")], second: vec![desk("head")] };
        let now = START.parse().expect("an instant");
        let letters = Arc::new(Letters::shipped().expect("words"));
        Self { calendar, rules, provider, letters, fleet, filed, now, turn: 0 }
    }

    fn online(&mut self) -> Tenant {
        let mut tenant = self.on_trial();
        self.apply(&mut tenant, &reports()).expect("reports");
        self.apply(&mut tenant, &pass()).expect("passed");
        self.obey(&mut tenant);
        tenant
    }

    /// It was online, has asked to leave in 60 days, and may.
    fn leaving(&mut self) -> Tenant {
        let mut tenant = self.online();
        let ask = leave(self.now, 60, false);
        self.apply(&mut tenant, &ask).expect("asked");
        let (decision, opinion) = (Decision::Approve, said("sound"));
        let grant = Event::ReviewOffboarding { decision, opinion };
        self.apply(&mut tenant, &grant).expect("granted");
        tenant
    }

    fn by(
        &mut self,
        tenant: &mut Tenant,
        role: Role,
        name: &str,
        event: &Event,
    ) -> Result<Vec<Effect>, Refusal> {
        let customer = (role == Role::Customer).then(|| said("bureau"));
        let actor = Actor { name: said(name), role, customer };
        let transition = apply(tenant, event, &actor, &self.context())?;
        *tenant = transition.tenant;
        Ok(transition.effects)
    }

    fn context(&mut self) -> Context<'_> {
        self.turn = self.turn.wrapping_add(1);
        // A seed of its own for each transition: ids are drawn from it.
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.turn.to_be_bytes());
        Context {
            now: self.now,
            real_now: self.now,
            seed,
            calendar: &self.calendar,
            rules: &self.rules,
            provider: &self.provider,
            letters: &self.letters,
            fleet: &self.fleet,
            filed: &self.filed,
        }
    }

    fn apply(&mut self, tenant: &mut Tenant, event: &Event) -> Result<Vec<Effect>, Refusal> {
        let actor = actor_for(event, "zhao");
        let transition = apply(tenant, event, &actor, &self.context())?;
        *tenant = transition.tenant;
        Ok(transition.effects)
    }

    fn submitted(&mut self) -> Tenant {
        let customer = customer();
        open(&application(), &customer, &self.context()).expect("well formed").tenant
    }

    /// Answers every open order as a sound host does.
    /// Hosts carry out what is open; gives what follows from their reports.
    fn obey(&mut self, tenant: &mut Tenant) -> Vec<Effect> {
        let mut effects = Vec::new();
        for event in answers(tenant, self.now) {
            effects.extend(self.apply(tenant, &event).expect("a sound report"));
        }
        effects
    }

    fn on_trial(&mut self) -> Tenant {
        let mut tenant = self.submitted();
        self.apply(&mut tenant, &approve()).expect("approved");
        self.obey(&mut tenant);
        let notice = tenant.handover[0];
        let event = Event::NoticeDelivered { notice, grade: Grade::E2, at: self.now };
        self.apply(&mut tenant, &event).expect("delivered");
        assert_eq!(tenant.phase, Phase::Trial);
        tenant
    }
}

fn customer() -> Actor {
    Actor { name: "li".to_owned(), role: Role::Customer, customer: Some("bureau".to_owned()) }
}

fn actor_for(event: &Event, name: &str) -> Actor {
    match admit::roles(event)[0] {
        Role::Customer => customer(),
        Role::Controller => Actor::controller(),
        role => Actor { name: name.to_owned(), role, customer: None },
    }
}

fn application() -> Application {
    Application {
        customer: "bureau".to_owned(),
        system: System {
            name: "portal".to_owned(),
            code: "P".to_owned(),
            major: true,
            internet_facing: true,
        },
        contacts: vec![Contact {
            name: "desk".to_owned(),
            email: Some("desk@bureau.example".to_owned()),
            designated: vec![Designated::Email],
            ..Contact::default()
        }],
        instances: vec![InstanceRequest {
            role: "web".to_owned(),
            count: 2,
            vcpus: 1,
            memory_mib: 128,
            image: "small".to_owned(),
            volumes_gib: vec![],
            volumes_mib: vec![16],
            ingress: [(80, Zone::Extranet), (443, Zone::Internet), (5432, Zone::Isolated)]
                .map(|(port, zone)| IngressRequest { protocol: Transport::Tcp, port, zone })
                .to_vec(),
        }],
        form: serde_json::Value::Null,
    }
}

fn pass() -> Event {
    let (decision, items) = (ReportsDecision::Pass, Vec::new());
    Event::ReviewReports { decision, opinion: said("sound"), items }
}

fn approve() -> Event {
    Event::Review { decision: Decision::Approve, opinion: "sound".to_owned() }
}

fn document() -> Document {
    Document { title: "report".to_owned(), sha256: Digest::of(b"report") }
}

fn security() -> Document {
    Document { title: said("security report"), sha256: Digest::of(b"security report") }
}

fn reports() -> Event {
    Event::SubmitReports { test_report: document(), security_report: security() }
}

fn confirm_icp(found: bool) -> Event {
    Event::ConfirmIcp { found, opinion: said("the register says so") }
}

/// The second notice reached the customer by letter today.
fn served(now: Timestamp) -> Event {
    let served_on = crate::core::calendar::legal_day(now);
    Event::RecordService { served_on, document: document() }
}

fn said(text: &str) -> String {
    text.to_owned()
}

fn filing() -> IcpFiling {
    IcpFiling {
        number: said("赣ICP备2026000001号"),
        domain: said("portal.example.gov.cn"),
        holder: said("bureau"),
        filed_on: "2026-08-20".parse().expect("a date"),
        document: document(),
    }
}

fn assessment() -> Assessment {
    Assessment {
        report_number: said("DJCP-2026-001"),
        assessor: said("a third party"),
        level: 3,
        conclusion: said("good"),
        document: document(),
    }
}

fn extension(experts: &[&str]) -> Event {
    Event::DecideExtension {
        decision: Decision::Approve,
        opinion: said("needed"),
        experts: experts
            .iter()
            .map(|name| Expert { name: said(name), opinion: said("needed") })
            .collect(),
        assessment: Some(document()),
    }
}

fn leave(now: Timestamp, days: i32, ask_waiver: bool) -> Event {
    let stop_day = crate::core::calendar::plus_days(crate::core::calendar::legal_day(now), days);
    Event::RequestOffboarding { stop_day, reason: said("moving"), ask_waiver }
}

/// An operator heard it on the telephone.
fn heard(cut: Option<u32>, at: Timestamp) -> Event {
    let (person, over, words) = (said("wei"), said("13800000000"), said("we know"));
    Event::RecordAcknowledgement { cut, person, over, words, at }
}

/// One of each event, and of some more than one.
pub(crate) fn events(now: Timestamp) -> Vec<Event> {
    let reason = || said("a reason");
    let review = |decision| Event::Review { decision, opinion: said("as it is") };
    let judged = |decision, items: &[&str]| Event::ReviewReports {
        decision,
        opinion: said("as it is"),
        items: items.iter().map(|item| said(item)).collect(),
    };
    let rectify = |item| Event::Rectify { item, note: said("mended"), evidence: document() };
    let mut events = vec![
        Event::SaveDraft { application: application() },
        Event::SubmitDraft,
        Event::Submit { application: application() },
        Event::Withdraw { reason: reason() },
        review(Decision::Approve),
        review(Decision::Reject),
        review(Decision::Return),
        Event::SuspendReview { reason: reason() },
        Event::ResumeReview,
        Event::RetryConfiguration,
        Event::DeclareDeployment,
        Event::RequestExtension { days: 20, reason: reason() },
        extension(&["wu", "zheng"]),
        reports(),
        judged(ReportsDecision::Pass, &[]),
        judged(ReportsDecision::Fail, &["close the port"]),
        rectify(1),
        rectify(2),
        Event::FileAssessment { assessment: assessment() },
        Event::FileIcp { filing: filing() },
        confirm_icp(true),
        confirm_icp(false),
        Event::OpenIcp { reason: reason() },
        set_group("web", PUBLIC),
        set_group("audit", OWN),
        set_group("web", NOTHING),
        Event::RemoveGroup { name: said("web") },
        Event::RemoveGroup { name: said("audit") },
        Event::SetContacts { contacts: application().contacts },
        Event::AcknowledgeProbe,
        Event::SetThresholds { thresholds: anomalies::own(7) },
        anomalies::propose(&[v1::AlarmKind::PacketFlood]),
        Event::ConfirmCutRule,
        Event::WithdrawCutRule { reason: reason() },
        Event::Cut { kind: CutKind::Emergency, reason: reason() },
        Event::Cut { kind: CutKind::Planned, reason: reason() },
        Event::AnnounceCut { reason: reason() },
        Event::CallOffCut { reason: reason() },
        Event::AcknowledgeCut { cut: Some(1) },
        Event::AcknowledgeCut { cut: None },
        heard(Some(1), now),
        heard(None, now),
        Event::Restore { reason: reason() },
        Event::PlaceHold { kind: HoldKind::Dispute, document: document(), reason: reason() },
        Event::PlaceHold { kind: HoldKind::LegalHold, document: document(), reason: reason() },
        Event::ReleaseHold { hold: 1, document: document(), reason: reason() },
        Event::ReleaseHold { hold: 2, document: document(), reason: reason() },
        Event::CountersignHold { hold: 1 },
        Event::CountersignHold { hold: 2 },
        leave(now, 60, false),
        leave(now, 3, true),
        Event::WaivePeriod { reason: reason() },
        Event::ReviewOffboarding { decision: Decision::Approve, opinion: said("sound") },
        Event::ReviewOffboarding { decision: Decision::Reject, opinion: said("unsound") },
        Event::ConfirmOffboarding { migrated: true, backed_up: true },
        served(now),
        Event::CountersignService,
        Event::ApproveWipe,
    ];
    events.extend(drills::events().into_iter().chain(of_the_controller(now)));
    events
}

fn owed(tenant: &Tenant, id: ObligationId) -> ObligationState {
    tenant.obligations.iter().rfind(|owed| owed.id == id).expect("owed").state
}

#[test]
fn each_phase_admits_the_events_that_the_golden_file_lists() {
    let mut found = String::new();
    let now = Timestamp::default();
    for phase in Phase::ALL {
        let events = events(now);
        let mut admitted: Vec<&str> =
            events.iter().filter(|event| admit::admits(phase, event)).map(Event::name).collect();
        let mut seen = BTreeSet::new();
        admitted.retain(|name| seen.insert(*name));
        writeln!(found, "{}: {}", phase.as_str(), admitted.join(" ")).expect("text");
    }
    assert_eq!(found, include_str!("phase-events.txt"), "\n{found}");
}

#[test]
fn the_earliest_lawful_stop_day_stands_in_the_refusal() {
    let mut world = World::new();
    let mut tenant = world.on_trial();
    world.apply(&mut tenant, &reports()).expect("reports");
    let pass = pass();
    world.apply(&mut tenant, &pass).expect("pass");
    world.now = "2026-09-21T02:00:00Z".parse().expect("an instant");
    let ask = |day: &str| Event::RequestOffboarding {
        stop_day: day.parse().expect("a date"),
        reason: "moving".to_owned(),
        ask_waiver: false,
    };
    let refusal = world.apply(&mut tenant, &ask("2026-10-16")).expect_err("too early");
    assert_eq!(refusal.code, Code::StopDayTooEarly);
    assert!(refusal.sentence.contains("2026-10-20"), "{refusal}");
    world.apply(&mut tenant, &ask("2026-10-20")).expect("in time");
}

#[path = "answer_tests.rs"]
mod answers;
use answers::{answers, cut_by_host, of_the_controller};

#[path = "adopting_tests.rs"]
mod adoptions;

#[path = "applying_tests.rs"]
mod applications;

#[path = "cutting_tests.rs"]
mod cuts;

#[path = "drilling_tests.rs"]
mod drills;

#[path = "calling_tests.rs"]
mod calls;

#[path = "desk_tests.rs"]
mod desk;

#[path = "probing_tests.rs"]
mod probes;

#[path = "clause_tests.rs"]
mod clauses;

#[path = "leaving_tests.rs"]
mod leavings;

#[path = "deadline_tests.rs"]
mod deadlines;

#[path = "anomaly_tests.rs"]
mod anomalies;

#[path = "group_tests.rs"]
mod groups;
use groups::{NOTHING, OWN, PUBLIC, set_group};

#[path = "history_tests.rs"]
mod histories;

#[path = "history_oracle_tests.rs"]
mod oracle;

#[path = "history_drawn_tests.rs"]
mod drawn;

#[path = "history_reached_tests.rs"]
mod reached;

#[path = "history_due_tests.rs"]
mod due;

#[path = "history_found_tests.rs"]
mod found;

#[path = "stored_tests.rs"]
mod stored;

#[path = "history_told_tests.rs"]
mod told;

#[path = "invariant_tests.rs"]
mod invariants;
