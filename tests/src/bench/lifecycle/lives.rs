//! Tenants that have lived: the real engine and real agents on fake hosts take a few tenants to
//! different phases, at dates of one autumn. All others of the benchmark are copies of them.

use anyhow::{Context as _, ensure};
use tenure_controller::{
    core::{
        lifecycle::{Decision, Event, ReportsDecision, Role},
        tenant::{Phase, Tenant},
    },
    engine::{
        Page,
        row::{HostRecord, JournalRecord},
    },
};
use tenure_protocol::{id::TenantId, time::Timestamp};

use crate::fleet::{ARRIVES, Fleet, application, customer, provider};

/// The legal instant up to which they have lived, and at which the benchmark takes place.
pub const NOW: &str = "2026-11-19T16:30:00Z";

/// One of them.
#[derive(Debug, Clone)]
pub struct Life {
    /// Its state.
    pub tenant: Tenant,
    /// What happened to it last.
    pub last: JournalRecord,
}

/// All of them.
#[derive(Debug)]
pub struct Lives {
    /// The hosts that they are or were on.
    pub hosts: Vec<HostRecord>,
    /// Has left; everything is attested destroyed.
    pub closed: Life,
    /// Was refused.
    pub rejected: Life,
    /// Waits for an opinion since an hour.
    pub submitted: Life,
    /// In formal operation.
    pub online: Life,
    /// On trial.
    pub trial: Life,
    /// Waits for an opinion, which is due today: the first of all that a reminder goes out for.
    pub due: Life,
    /// When that is; legal time.
    pub due_at: Timestamp,
}

/// Lets them live.
///
/// # Errors
/// If the lifecycle has changed, so that one of them does not come where it should.
pub async fn live() -> anyhow::Result<Lives> {
    let mut fleet = Fleet::start().await?;
    at(&fleet, "2026-09-01T01:00:00Z").await?;
    for host in ["alpha", "beta"] {
        fleet.join(host).await?;
    }
    let closed = open(&mut fleet).await?;
    let online = open(&mut fleet).await?;
    at(&fleet, "2026-09-20T02:00:00Z").await?;
    for id in [closed, online] {
        go_online(&fleet, id).await?;
    }
    at(&fleet, "2026-10-12T01:00:00Z").await?;
    leave(&mut fleet, closed).await?;
    at(&fleet, "2026-11-10T01:00:00Z").await?;
    let rejected = apply(&fleet).await?;
    review(&fleet, rejected, Decision::Reject).await?;
    at(&fleet, "2026-11-13T01:00:00Z").await?;
    let due = apply(&fleet).await?;
    at(&fleet, "2026-11-19T01:00:00Z").await?;
    let trial = open(&mut fleet).await?;
    at(&fleet, "2026-11-19T15:30:00Z").await?;
    let submitted = apply(&fleet).await?;
    at(&fleet, NOW).await?;

    let lives = Lives {
        hosts: fleet.controller.hosts().await?,
        closed: life(&fleet, closed, Phase::Closed).await?,
        rejected: life(&fleet, rejected, Phase::Rejected).await?,
        submitted: life(&fleet, submitted, Phase::Submitted).await?,
        online: life(&fleet, online, Phase::Online).await?,
        trial: life(&fleet, trial, Phase::Trial).await?,
        due: life(&fleet, due, Phase::Submitted).await?,
        due_at: fleet.controller.next_wake().await?.context("nothing becomes due")?,
    };
    let of_due = lives.due.tenant.wake_at;
    ensure!(of_due == Some(lives.due_at), "{of_due:?} is not the first to come: {lives:#?}");
    Ok(lives)
}

async fn at(fleet: &Fleet, instant: &str) -> anyhow::Result<()> {
    fleet.set_time(instant.parse()?).await
}

async fn apply(fleet: &Fleet) -> anyhow::Result<TenantId> {
    Ok(fleet.controller.submit(customer("li"), application()).await?.id)
}

async fn review(fleet: &Fleet, id: TenantId, decision: Decision) -> anyhow::Result<()> {
    let event = Event::Review { decision, opinion: "as the file says".to_owned() };
    fleet.controller.act(provider("zhao", Role::Reviewer), id, event).await?;
    Ok(())
}

/// From the application to the first day of the trial.
async fn open(fleet: &mut Fleet) -> anyhow::Result<TenantId> {
    let id = apply(fleet).await?;
    review(fleet, id, Decision::Approve).await?;
    fleet.settle().await?;
    fleet.deliver(ARRIVES).await?;
    Ok(id)
}

async fn go_online(fleet: &Fleet, id: TenantId) -> anyhow::Result<()> {
    let li = customer("li");
    let reports = Event::SubmitReports {
        test_report: fleet.file(&li, Some(id), "test report").await?,
        security_report: fleet.file(&li, Some(id), "security risk assessment report").await?,
    };
    fleet.controller.act(li, id, reports).await?;
    let opinion = "as the file says".to_owned();
    let (decision, items) = (ReportsDecision::Pass, Vec::new());
    let pass = Event::ReviewReports { decision, opinion, items };
    fleet.controller.act(provider("zhao", Role::Reviewer), id, pass).await?;
    Ok(())
}

/// From the application to leave to the exit bundle.
async fn leave(fleet: &mut Fleet, id: TenantId) -> anyhow::Result<()> {
    let reason = "it moves elsewhere".to_owned();
    let ask =
        Event::RequestOffboarding { stop_day: "2026-11-03".parse()?, reason, ask_waiver: false };
    fleet.controller.act(customer("li"), id, ask).await?;
    let opinion = "as the file says".to_owned();
    let grant = Event::ReviewOffboarding { decision: Decision::Approve, opinion };
    fleet.controller.act(provider("zhao", Role::Reviewer), id, grant).await?;
    at(fleet, "2026-11-02T16:00:00Z").await?;
    let confirm = Event::ConfirmOffboarding { migrated: true, backed_up: true };
    fleet.controller.act(customer("li"), id, confirm).await?;
    fleet.controller.tick().await?;
    fleet.settle().await?;
    at(fleet, "2026-11-04T01:00:00Z").await?;
    for approver in [provider("sun", Role::Operator), provider("qian", Role::Security)] {
        fleet.controller.act(approver, id, Event::ApproveWipe).await?;
    }
    fleet.settle().await?;
    Ok(fleet.controller.tick().await?)
}

async fn life(fleet: &Fleet, id: TenantId, phase: Phase) -> anyhow::Result<Life> {
    let tenant = fleet.controller.tenant(id).await?;
    ensure!(tenant.phase == phase, "{} instead of {}", tenant.phase.as_str(), phase.as_str());
    let mut journal = fleet.controller.journal(id, &Page::default()).await?.items;
    Ok(Life { tenant, last: journal.pop().context("nothing happened to it")? })
}
