//! Stories: scripts that a person of the provincial office can read, told to the real controller
//! and the real agents on fake hosts. `tests/scripts/*.txt`; each line happens, or the test fails
//! there.

#[path = "story/paper.rs"]
mod paper;
#[path = "story/words.rs"]
mod words;

use anyhow::{Context as _, bail, ensure};
use jiff::{
    civil::DateTime,
    tz::{Offset, TimeZone},
};
use tenure_controller::{
    core::{
        access::Scope,
        lifecycle::{Actor, Role},
        obligation::{Due, Obligation, ObligationState},
        record::Record,
        rules::{Rules, SHIPPED},
        tenant::{Generations, Isolation, Tenant},
    },
    engine::{EngineError, NewToken, Page},
};
use tenure_protocol::{evidence::verify, id::TenantId, time::Timestamp};
use tenure_tests::fleet::{self, ARRIVES, Fleet, SENT, customer, provider};

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_goes_from_application_to_attested_erasure() {
    tell("whole-way.txt", include_str!("../scripts/whole-way.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_without_reports_is_held_and_nothing_is_destroyed() {
    tell("expired-trial.txt", include_str!("../scripts/expired-trial.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_fail_are_tried_again_and_nothing_is_claimed_for_them() {
    tell("failing-hosts.txt", include_str!("../scripts/failing-hosts.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_complete_or_is_not_taken() {
    tell("o1-o2-application.txt", include_str!("../scripts/o1-o2-application.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opinion_comes_within_five_working_days_and_gross_time_is_kept() {
    tell("o3-opinion.txt", include_str!("../scripts/o3-opinion.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_application_waits_for_a_host_and_is_never_lost() {
    tell("o4-configuration.txt", include_str!("../scripts/o4-configuration.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_not_deployed_is_idle_and_keeps_what_it_has() {
    tell("o5-deployment.txt", include_str!("../scripts/o5-deployment.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_major_systems_trial_is_extended_by_experts_for_thirty_days_in_all() {
    tell("o6-trial.txt", include_str!("../scripts/o6-trial.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_reviewed_and_rectified_item_by_item() {
    tell("o7-reports.txt", include_str!("../scripts/o7-reports.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_system_files_its_assessment_within_six_months() {
    tell("o8-assessment.txt", include_str!("../scripts/o8-assessment.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_internet_opens_with_formal_operation_and_the_filing() {
    tell("o9-icp.txt", include_str!("../scripts/o9-icp.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_cuts_is_signed_by_two_persons() {
    tell("cut-rule.txt", include_str!("../scripts/cut-rule.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_drilled_by_one_person_after_two_have_said_that_it_is_one() {
    tell("drill.txt", include_str!("../scripts/drill.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_opens_and_closes_a_port_by_itself() {
    tell("groups.txt", include_str!("../scripts/groups.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_site_allows_it_a_reviewer_answers_for_the_internet_before_the_filing() {
    tell("o9-icp-standard.txt", include_str!("../scripts/o9-icp-standard.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_leaves_after_fifteen_working_days_or_by_two_waivers() {
    tell("o10-leaving.txt", include_str!("../scripts/o10-leaving.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wiped_under_a_hold_or_by_a_timer() {
    tell("o11-reclaiming.txt", include_str!("../scripts/o11-reclaiming.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_knows_of_every_cut() {
    tell("o12-cut.txt", include_str!("../scripts/o12-cut.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_puts_its_responsibility_on_paper_and_late_papers_need_a_second_person() {
    tell("responsibility.txt", include_str!("../scripts/responsibility.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_sees_data_on_its_document_and_two_approvals_alone() {
    tell("lawful-access.txt", include_str!("../scripts/lawful-access.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_controls_and_assessments_are_on_paper() {
    tell("platform-papers.txt", include_str!("../scripts/platform-papers.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_system_is_checked_each_month_and_a_missed_month_stays_missed() {
    tell("monthly-inspection.txt", include_str!("../scripts/monthly-inspection.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn support_and_rectification_are_on_paper() {
    tell("support.txt", include_str!("../scripts/support.txt")).await;
}

struct Story {
    fleet: Fleet,
    tenant: Option<TenantId>,
    record: Option<Record>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_of_months_replays_the_same() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let story = tell("whole-way.txt", include_str!("../scripts/whole-way.txt")).await;
        let tenant = story.tenant.expect("a tenant");
        let journal = story.fleet.controller.journal(tenant, &Page::default()).await;
        let journal = journal.expect("a journal").items;
        let ms = journal.last().expect("a row").at.ms_since(journal[0].at);
        assert!(ms > 79 * 24 * 3_600_000, "the story spans {ms} ms");
        let events = story.fleet.events(tenant).await.expect("events");
        runs.push((events, story.fleet.controller.bundle(tenant).await.expect("a bundle")));
    }
    let ((first, bundle), (second, other_bundle)) = (&runs[0], &runs[1]);
    let differs = first.iter().zip(second).find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(first.len(), second.len());
    assert!(bundle == other_bundle, "the exit bundles differ");
    assert!(first.len() > 30, "{} events", first.len());
}

async fn tell(name: &str, script: &str) -> Story {
    let fleet = Fleet::start().await.expect("a fleet");
    let mut story = Story { fleet, tenant: None, record: None };
    for (number, line) in (1..).zip(script.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(error) = story.line(line).await {
            panic!("{name}:{number}: {line}\n{error:?}");
        }
    }
    story
}

impl Story {
    async fn line(&mut self, line: &str) -> anyhow::Result<()> {
        if let Some(rest) = line.strip_prefix("refused ") {
            let (code, action) = rest.split_once(": ").context("refused CODE: …")?;
            return match self.happen(action).await {
                Ok(()) => bail!("it was not refused"),
                Err(error) => match error.downcast_ref::<EngineError>() {
                    Some(EngineError::Refused(refusal)) if refusal.code.as_str() == code => Ok(()),
                    _ => Err(error),
                },
            };
        }
        match line.strip_prefix("expect ") {
            Some(rest) => self.expect(rest).await,
            None => self.happen(line).await,
        }
    }

    async fn happen(&mut self, line: &str) -> anyhow::Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["at", day, time] => self.fleet.set_time(legal(day, time)?).await,
            ["five", "minutes", "pass"] => {
                let now = self.fleet.controller.clock().now();
                self.fleet.set_time(now.plus_ms(301_000)).await
            }
            ["the", "site's", "ICP", "gate", "is", "standard"] => {
                let (shipped, own) = ("icp_gate = \"strict\"", "icp_gate = \"standard\"");
                ensure!(SHIPPED.contains(shipped), "the shipped gate is not strict");
                let rules = Rules::parse(&SHIPPED.replace(shipped, own))?;
                self.fleet = Fleet::start_with(rules).await?;
                Ok(())
            }
            ["time", "passes"] => Ok(self.fleet.controller.tick().await?),
            ["hosts", first, "and", second, "join"] => {
                self.fleet.join(first).await?;
                self.fleet.join(second).await
            }
            ["hosts", "work"] => self.fleet.settle().await,
            ["host", name, "fails", "to", step @ ..] => {
                let step: &'static str = Box::leak(step.join(" ").into_boxed_str());
                self.member(name)?.host.fail(step, "broken");
                Ok(())
            }
            ["host", name, "is", "mended"] => {
                for step in ["cut", "start instance", "wipe volume"] {
                    self.member(name)?.host.heal(step);
                }
                Ok(())
            }
            ["notices", "arrive"] => self.fleet.deliver(ARRIVES).await.map(drop),
            ["notices", "are", "only", "sent"] => self.fleet.deliver(SENT).await.map(drop),
            ["host", name, "joins"] => self.fleet.join(name).await,
            ["customer", name, "applies", what @ ..] if what != ["again"] => {
                let form = words::form(&what.join(" "))?;
                self.tenant = Some(self.fleet.controller.submit(customer(name), form).await?.id);
                Ok(())
            }
            ["customer", name, "drafts", what @ ..] => {
                let form = words::form(&what.join(" "))?;
                self.tenant = Some(self.fleet.controller.draft(customer(name), form).await?.id);
                Ok(())
            }
            ["token", token, "of", role, name, rest @ ..] => {
                let actor = self.actor_by_token(token, person(role, name)?).await?;
                self.act(actor, &rest.join(" ")).await
            }
            [role, name, "records", kind, how @ ..] => {
                self.put_down(&person(role, name)?, kind, how).await
            }
            [role, name, "confirms", "the", "record"] => {
                self.confirm(&person(role, name)?, true).await
            }
            [role, name, "rejects", "the", "record"] => {
                self.confirm(&person(role, name)?, false).await
            }
            [role, name, rest @ ..] => self.act(person(role, name)?, &rest.join(" ")).await,
            _ => bail!("not understood"),
        }
    }

    /// Who comes with a new token of a person.
    async fn actor_by_token(&self, token: &str, owner: Actor) -> anyhow::Result<Actor> {
        let new = NewToken {
            name: token.to_owned(),
            owner: owner.name,
            role: owner.role,
            customer: owner.customer,
            scope: Scope::Everything,
            days: None,
        };
        let controller = &self.fleet.controller;
        let root = provider("root", Role::Administrator);
        let secret = controller.create_first_token(root, new).await?;
        let principal = controller.principal_of(&secret).await?;
        Ok(principal.context("the token is not known")?.actor)
    }

    async fn act(&self, actor: Actor, what: &str) -> anyhow::Result<()> {
        let tenant = self.tenant.context("nobody has applied yet")?;
        let event = words::event(what)?;
        let documents =
            if what.contains("nobody uploaded") { Vec::new() } else { event.documents() };
        for document in documents {
            self.fleet.file(&actor, Some(tenant), &document.title).await?;
        }
        self.fleet.controller.act(actor, tenant, event).await?;
        Ok(())
    }

    fn member(&self, name: &str) -> anyhow::Result<&fleet::Member> {
        self.fleet.members.get(name).with_context(|| format!("no host is called {name:?}"))
    }

    async fn expect(&self, what: &str) -> anyhow::Result<()> {
        if let Some(standing) = what.strip_prefix("the record ") {
            return self.expect_record(standing);
        }
        if let Some(what) = what.strip_prefix("the platform ") {
            return self.expect_of_platform(what).await;
        }
        let id = self.tenant.context("nobody has applied yet")?;
        let tenant = self.fleet.controller.tenant(id).await?;
        let words: Vec<&str> = what.split_whitespace().collect();
        match words.as_slice() {
            ["phase", phase] => same(tenant.phase.as_str(), phase),
            ["generation", number] => {
                let wanted = |host: &Generations| host.wanted.0.to_string();
                tenant.generations.values().try_for_each(|host| same(&wanted(host), number))
            }
            ["isolation", isolation] => same(isolation_name(&tenant), isolation),
            ["deadline", id, day] => {
                let owed = last(&tenant, id)?;
                let Due::Day { last_day, .. } = owed.due else { bail!("it has no day") };
                same(&last_day.to_string(), day)
            }
            ["notices", kind, count] => {
                let kind = words::notice_kind(kind)?;
                let notices = self.fleet.controller.notices(id, &Page::default()).await?.items;
                let found = notices.iter().filter(|notice| notice.kind == kind).count();
                same(&found.to_string(), count)
            }
            ["gross", id, day] => {
                let gross = last(&tenant, id)?.gross().last_day().context("it has no day")?;
                same(&gross.to_string(), day)
            }
            ["hold", hold] => same(&word(&tenant.hold_region())?, hold),
            ["mlps", standing] => same(&word(&tenant.compliance().mlps)?, standing),
            ["icp", standing] => same(&word(&tenant.compliance().icp)?, standing),
            ["internet", ingress] => same(&word(&tenant.compliance().internet_ingress)?, ingress),
            ["stop", "day", day] => {
                let leaving = tenant.offboarding.as_ref().context("nobody leaves")?;
                same(&leaving.stop_day.to_string(), day)
            }
            ["trial", "raw", "end", day] => {
                let trial = tenant.trial.as_ref().context("there is no trial")?;
                same(&trial.raw_end.to_string(), day)
            }
            ["port", port, state] => {
                let open = self.fleet.members.values().any(|member| member.opens(port));
                same(if open { "open" } else { "closed" }, state)
            }
            [role, name, "sees", count, "records"] => {
                self.expect_seen(&person(role, name)?, count).await
            }
            ["the", "journal", "says", "nothing", "of", word] => self.expect_silence(word).await,
            ["breached", id, count] => {
                let breached =
                    |owed: &&Obligation| owed.id.as_str() == *id && state_name(owed) == "breached";
                same(&tenant.obligations.iter().filter(breached).count().to_string(), count)
            }
            ["the", "bundle", "verifies"] => self.verify(id).await,
            [id, state] => same(state_name(last(&tenant, id)?), state),
            _ => bail!("not understood"),
        }
    }

    async fn verify(&self, id: TenantId) -> anyhow::Result<()> {
        let bundle = self.fleet.controller.bundle(id).await?;
        let verdict = verify::verify_bundle(&bundle, &self.fleet.anchors());
        let bad: Vec<_> = verdict.findings.iter().filter(|finding| !finding.ok).collect();
        ensure!(verdict.ok, "the bundle does not verify: {bad:#?}");
        let mut flipped = bundle;
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let verdict = verify::verify_bundle(&flipped, &self.fleet.anchors());
        ensure!(!verdict.ok, "a flipped byte is not seen");
        Ok(())
    }
}

/// The stable word of something that the API shows.
fn word(shown: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_value(shown)?.as_str().context("it is no word")?.to_owned())
}

fn person(role: &str, name: &str) -> anyhow::Result<Actor> {
    Ok(match role {
        "customer" => customer(name),
        "stranger" => Actor { customer: Some("another bureau".to_owned()), ..customer(name) },
        "reviewer" => provider(name, Role::Reviewer),
        "operator" => provider(name, Role::Operator),
        "security" => provider(name, Role::Security),
        "auditor" => provider(name, Role::Auditor),
        _ => bail!("no role is called {role:?}"),
    })
}

fn legal(day: &str, time: &str) -> anyhow::Result<Timestamp> {
    let at: DateTime = format!("{day}T{time}").parse()?;
    let zone = TimeZone::fixed(Offset::constant(8));
    Ok(Timestamp::from_unix_ms(at.to_zoned(zone)?.timestamp().as_millisecond()))
}

fn last<'a>(tenant: &'a Tenant, id: &str) -> anyhow::Result<&'a Obligation> {
    let mut of_id = tenant.obligations.iter().filter(|owed| owed.id.as_str() == id);
    of_id.next_back().with_context(|| format!("{id} is not owed, and never was"))
}

fn state_name(owed: &Obligation) -> &'static str {
    match owed.state {
        ObligationState::Open => "open",
        ObligationState::Discharged { .. } => "discharged",
        ObligationState::Breached { .. } => "breached",
        ObligationState::Lapsed { .. } => "lapsed",
    }
}

fn isolation_name(tenant: &Tenant) -> &'static str {
    match tenant.isolation {
        Isolation::Connected => "connected",
        Isolation::Cutting { .. } => "cutting",
        Isolation::Cut { .. } => "cut",
        Isolation::Restoring { .. } => "restoring",
    }
}

fn same(found: &str, expected: &str) -> anyhow::Result<()> {
    ensure!(found == expected, "it is {found}");
    Ok(())
}
