//! Anomalies, from a host's alarm to the customer's notice: people are told; and where two persons
//! have signed for it the tenant is cut, once.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use serde_json::{Value, json};
use tenure_controller::{
    clock::Clock,
    core::{
        anomaly::COOL_DOWN_MS,
        lifecycle::{CutKind, Decision, Event, Provider, Role},
        notice::{Notice, NoticeKind, Outcome},
        obligation::{ObligationId, ObligationState},
        rules::Rules,
        tenant::{Contact, Isolation, Tenant},
        watch::Witness,
    },
    engine::Page,
};
use tenure_protocol::{
    channel::Grade,
    id::{HostId, TenantId},
    wire::v1::{Alarm, AlarmKind, Figures, Measure},
};
use tenure_tests::{
    fleet::{ARRIVES, Fleet, application, customer, provider},
    lab::in_process::{self, InProcess},
};

const TAKEN: Outcome = Outcome::Accepted { grade: Grade::E2 };

/// Hosts with a tenant on trial, one host without it, and a provider with a duty desk.
struct World {
    fleet: Fleet,
    id: TenantId,
    /// A host of the tenant.
    host: HostId,
    sequence: u64,
}

impl World {
    async fn new() -> Self {
        let duty = Contact {
            name: "duty".to_owned(),
            email: Some("duty@cloud.example".to_owned()),
            ..Contact::default()
        };
        let desk = Provider { contacts: vec![duty], second: Vec::new() };
        let rules = Rules::shipped().expect("the law");
        let mut fleet = Fleet::start_as(rules, desk).await.expect("a fleet");
        for name in ["alpha", "beta"] {
            fleet.join(name).await.expect("joined");
        }
        let tenant =
            fleet.controller.submit(customer("li"), application()).await.expect("submitted");
        let approve = Event::Review { decision: Decision::Approve, opinion: "sound".to_owned() };
        let reviewer = provider("zhao", Role::Reviewer);
        fleet.controller.act(reviewer, tenant.id, approve).await.expect("approved");
        fleet.settle().await.expect("configured");
        fleet.deliver(ARRIVES).await.expect("delivered");
        fleet.join("gamma").await.expect("joined");
        let tenant = fleet.controller.tenant(tenant.id).await.expect("kept");
        let host = *tenant.hosts().first().expect("a host");
        Self { fleet, id: tenant.id, host, sequence: 0 }
    }

    async fn tenant(&self) -> Tenant {
        self.fleet.controller.tenant(self.id).await.expect("kept")
    }

    async fn act(&self, name: &str, role: Role, event: Event) {
        self.fleet.controller.act(provider(name, role), self.id, event).await.expect("done");
    }

    /// A flood that the tenant begins just now, or ends.
    fn flood(&mut self, over: bool) -> Alarm {
        self.sequence += 1;
        let measure = Measure::ConnectionsSent;
        Alarm {
            sequence: self.sequence,
            at: self.fleet.controller.clock().now(),
            kind: AlarmKind::ConnectionFlood,
            subject: "tap-00000001".to_owned(),
            tenant: Some(self.id),
            what: "7777 new TCP connections a second begun".to_owned(),
            culprit: None,
            repaired: over,
            dropped: 0,
            figures: Some(Figures { measure, rate: 7_777, threshold: 2_000, window_ms: 6_000 }),
        }
    }

    /// A flood of packets that it sends, so counted, just now.
    fn packets(&mut self, measure: Measure) -> Alarm {
        let figures = Figures { measure, rate: 900_000, threshold: 200_000, window_ms: 6_000 };
        let (kind, figures) = (measure.kind(), Some(figures));
        Alarm { kind, figures, ..self.flood(false) }
    }

    async fn raise(&self, host: HostId, alarm: &Alarm) {
        let member = self.fleet.members.values().find(|member| member.id == host);
        let signed = member.expect("a host").signs(alarm.clone()).expect("signed");
        self.fleet.controller.alarm(host, &signed).await.expect("taken");
    }

    async fn later(&self, ms: i64) {
        let at = self.fleet.controller.clock().now().plus_ms(ms);
        self.fleet.set_time(at).await.expect("time passes");
    }

    /// Two persons sign that it is cut for connections.
    async fn sign(&self) {
        let kinds = [AlarmKind::ConnectionFlood, AlarmKind::PacketFlood].into();
        let rule = Event::ProposeCutRule { kinds, reason: "a botnet".to_owned() };
        self.act("sun", Role::Operator, rule).await;
        self.act("qian", Role::Security, Event::ConfirmCutRule).await;
    }
}

fn of_alarms(notices: &[Notice]) -> Vec<&Notice> {
    notices.iter().filter(|notice| notice.kind == NoticeKind::HostAlarm).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rule_the_provider_is_told_with_figures_and_nobody_is_cut() {
    let mut world = World::new().await;
    let begun = world.flood(false);
    world.raise(world.host, &begun).await;
    assert_eq!(world.tenant().await.isolation, Isolation::Connected);
    let notices = world.fleet.deliver(TAKEN).await.expect("tried");
    let [told] = of_alarms(&notices)[..] else { panic!("{notices:?}") };
    assert_eq!(told.contact, "duty");
    for words in
        ["新连接洪泛，仍在持续", "每秒发起新连接 7777（阈值 2000，6 秒均值）", "7777 new TCP"]
    {
        assert!(told.body.contains(words), "{words}: {}", told.body);
    }
    let over = world.flood(true);
    world.raise(world.host, &over).await;
    let notices = world.fleet.deliver(TAKEN).await.expect("tried");
    assert!(of_alarms(&notices)[0].body.contains("已结束"), "{notices:?}");
    let kept = world.fleet.controller.alarms(world.host, &Page::default()).await.expect("read");
    assert_eq!(kept.items[0].alarm, begun, "with its figures");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_rule_a_flood_cuts_its_tenant_once_and_the_customer_is_told_in_time() {
    let mut world = World::new().await;
    world.sign().await;
    let stranger = world.fleet.members["gamma"].id;
    let told = world.flood(false);
    world.raise(stranger, &told).await;
    assert!(world.tenant().await.cuts.is_empty(), "that host has nothing of this tenant");

    let begun = world.flood(false);
    // The host does not hear the answer.
    for _ in 0..3 {
        world.raise(world.host, &begun).await;
    }
    let another = world.flood(false);
    world.raise(world.host, &another).await;
    let tenant = world.tenant().await;
    assert!(matches!(tenant.isolation, Isolation::Cutting { .. }), "{:?}", tenant.isolation);
    let [cut] = &tenant.cuts[..] else { panic!("{:?}", tenant.cuts) };
    assert_eq!((cut.kind, cut.ordered_by.as_str()), (CutKind::Emergency, "controller"));
    for words in ["7777", "2000", "6 s", "proposed by sun and confirmed by qian"] {
        assert!(cut.reason.contains(words), "{words}: {}", cut.reason);
    }
    assert_eq!(cut.witness, Witness::Host(stranger), "its notices are kept by hosts, too");
    world.fleet.settle().await.expect("hosts cut");
    let notices = world.fleet.deliver(ARRIVES).await.expect("delivered");
    let customers: Vec<_> =
        notices.iter().filter(|notice| notice.kind == NoticeKind::Cut).collect();
    assert!(!customers.is_empty(), "{notices:?}");
    assert!(customers.iter().all(|notice| notice.body.contains("按规则自动断网")), "{customers:?}");
    let desk = of_alarms(&notices);
    assert!(desk.iter().any(|notice| notice.subject.contains("CUT")), "{desk:?}");
    let tenant = world.tenant().await;
    assert!(matches!(tenant.isolation, Isolation::Cut { .. }));
    let owed = tenant.obligations.iter().find(|owed| owed.id == ObligationId::O12b);
    let met = owed.map(|owed| matches!(owed.state, ObligationState::Discharged { .. }));
    assert_eq!(met, Some(true), "within the five minutes: {owed:?}");

    let mend = Event::Restore { reason: "mended".to_owned() };
    world.act("sun", Role::Operator, mend).await;
    world.fleet.settle().await.expect("restored");
    let again = world.flood(false);
    world.raise(world.host, &again).await;
    assert_eq!(world.tenant().await.cuts.len(), 1, "it does not flap");
    world.later(COOL_DOWN_MS).await;
    let withdraw = Event::WithdrawCutRule { reason: "mended".to_owned() };
    world.act("sun", Role::Operator, withdraw).await;
    let again = world.flood(false);
    world.raise(world.host, &again).await;
    assert_eq!(world.tenant().await.cuts.len(), 1, "the rule is taken back");
    world.sign().await;
    let again = world.flood(false);
    world.raise(world.host, &again).await;
    assert_eq!(world.tenant().await.cuts.len(), 2);
    let journal = world.fleet.controller.journal(world.id, &Page::default()).await.expect("read");
    let kinds: Vec<&str> = journal.items.iter().map(|entry| entry.kind.as_str()).collect();
    for kind in ["propose-cut-rule", "confirm-cut-rule", "withdraw-cut-rule", "cut"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_rule_nobody_is_cut_who_answers_a_flood_and_who_floods_by_itself_is() {
    let mut world = World::new().await;
    world.sign().await;
    for measure in [Measure::PacketsReceived, Measure::PacketsSent] {
        let alarm = world.packets(measure);
        world.raise(world.host, &alarm).await;
    }
    assert!(world.tenant().await.cuts.is_empty(), "it answers, packet by packet");
    let notices = world.fleet.deliver(TAKEN).await.expect("tried");
    assert!(!of_alarms(&notices).is_empty(), "people are told");
    let alarm = world.packets(Measure::PacketsUnasked);
    world.raise(world.host, &alarm).await;
    let tenant = world.tenant().await;
    let [cut] = &tenant.cuts[..] else { panic!("{:?}", tenant.cuts) };
    assert!(cut.reason.contains("900000 packets a second sent beyond"), "{}", cut.reason);
}

/// A tenant that is being configured, with people of the provider.
struct Site {
    controller: InProcess,
    path: String,
    sun: String,
    feng: String,
}

impl Site {
    fn new() -> anyhow::Result<Self> {
        let controller = InProcess::start(Clock::system())?;
        controller.host("h1")?;
        let li = controller.token("li.na", "customer", Some("city-archive"))?;
        let zhao = controller.token("zhao", "reviewer", None)?;
        let form = in_process::application("city-archive");
        let made = controller.post(&li, "/v1/applications", &form)?;
        let path = format!("/v1/tenants/{}", made.json["id"].as_str().unwrap_or_default());
        let opinion = json!({"decision": "approve", "opinion": "sound"});
        let answer = controller.post(&zhao, &format!("{path}/review"), &opinion)?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let sun = controller.token("sun", "operator", None)?;
        let feng = controller.token("feng", "operator", None)?;
        Ok(Self { controller, path, sun, feng })
    }

    /// Status and code.
    fn post(&self, token: &str, part: &str, body: &Value) -> anyhow::Result<(u16, String)> {
        let path = format!("{}/anomalies/{part}", self.path);
        let answer = self.controller.post(token, &path, body)?;
        Ok((answer.status, answer.json["code"].as_str().unwrap_or_default().to_owned()))
    }

    fn show(&self) -> anyhow::Result<Value> {
        Ok(self.controller.get(&self.feng, &format!("{}/anomalies", self.path))?.json)
    }
}

#[test]
fn the_api_sets_thresholds_and_takes_no_ones_own_confirmation() -> anyhow::Result<()> {
    let site = Site::new()?;
    let shown = site.show()?;
    assert_eq!(shown["policy"], "alert");
    assert_eq!(shown["thresholds"]["connections_per_s"], 2_000, "the site's");
    let set = json!({"packets_per_s": 50_000});
    assert_eq!(site.post(&site.sun, "thresholds", &set)?.0, 202);
    let shown = site.show()?;
    assert_eq!(shown["thresholds"]["packets_per_s"], 50_000);
    assert_eq!(shown["thresholds"]["connections_per_s"], 2_000);
    for (wrong, status, code) in [
        (json!({"packets_per_s": 0}), 400, "invalid-body"),
        (json!({"steal_permille": 1001}), 422, "invalid-input"),
        (json!({"packets": 5}), 400, "invalid-body"),
        (json!({"connections_per_s": -1}), 400, "invalid-body"),
    ] {
        let answer = site.post(&site.sun, "thresholds", &wrong)?;
        assert_eq!((answer.0, answer.1.as_str()), (status, code), "{wrong}");
    }
    for (kind, status) in [("nonsense", 400), ("cpu-steal", 422), ("packet-filter", 422)] {
        let rule = json!({"kinds": [kind], "reason": "a botnet"});
        let (given, code) = site.post(&site.sun, "rule", &rule)?;
        assert_eq!(given, status, "{kind}: {code}");
    }
    let rule = json!({"kinds": ["packet-flood"], "reason": "a botnet"});
    assert_eq!(site.post(&site.sun, "rule", &rule)?.0, 200);
    let (status, code) = site.post(&site.sun, "rule/confirmation", &json!({}))?;
    assert_eq!((status, code.as_str()), (403, "separation-of-duties"));
    assert_eq!(site.show()?["policy"], "alert", "one person's word is none");
    let auditor = site.controller.token("wu", "auditor", None)?;
    assert_eq!(site.post(&auditor, "rule/confirmation", &json!({}))?.0, 403);
    assert_eq!(site.post(&site.feng, "rule/confirmation", &json!({}))?.0, 200);
    let shown = site.show()?;
    assert_eq!(shown["policy"], "cut");
    assert_eq!(shown["in_force"]["proposal"]["by"], "sun");
    assert_eq!(shown["in_force"]["confirmed_by"], "feng");
    let tenant = site.controller.get(&site.sun, &site.path)?.json;
    assert_eq!(tenant["anomalies"]["in_force"], shown["in_force"], "in the tenant's view");
    let back = json!({"reason": "mended"});
    assert_eq!(site.post(&site.sun, "rule/withdrawal", &back)?.0, 200);
    assert_eq!(site.show()?["policy"], "alert");
    Ok(())
}
