//! The cut lane's other door: what a person on this host orders, with no controller at all.
//!
//! ```text
//!   person ─► admit ─► journal ─► the kernel, t0 ─► seal ─► proof ─► statement ─► report, kept
//! ```
//! It is carried out as an order is, and under the same lane. The report waits in the journal for
//! the controller; if the person ends the cut before the controller has it, one report tells both.
//! A cut takes the id of the tenant's standing packet, and its t0 goes to the watch as that of an
//! order does: this host then tells the customer, also of a cut that is ended meanwhile.

use std::{collections::BTreeMap, sync::mpsc::SyncSender};

use serde::{Deserialize, Serialize};
use tenure_protocol::{
    evidence::predicate::{LocalAct, LocalOrder, network_cut::Direction},
    id::{CutId, HostId, OrderId, TenantId},
    wire::v1::{CommitInterval, CutOrder, Mark, OrderState, Outcome},
};

use super::{EngineFailure, cut::CutLane, desk::KEEP_FINISHED_MS, reserve::Reserved};
use crate::core::{
    local::{self, Asked},
    record::{Change, Isolation, LocalRecord, LocalStage},
};

/// What a person on this host wants of the cut lane.
#[derive(Debug)]
pub struct LocalInput {
    /// What.
    pub ask: LocalAsk,
    /// Where the answer goes.
    pub answer: SyncSender<LocalAnswer>,
}

/// The same, without the way back.
#[derive(Debug)]
pub enum LocalAsk {
    /// A cut or a restore.
    Act {
        /// Whose traffic.
        tenant: TenantId,
        /// The tenant's mark, if the tenant is on this host.
        mark: Option<Mark>,
        /// Which way.
        direction: Direction,
        /// The login of who asks, and its number.
        login: (String, u32),
        /// Who it is by its own account.
        by: Option<String>,
        /// Why.
        reason: String,
    },
    /// How these tenants stand, and whoever else is cut here.
    Status(BTreeMap<TenantId, Mark>),
}

/// What the cut lane answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LocalAnswer {
    /// The kernel took it.
    Done {
        /// The order's id.
        order: OrderId,
        /// Which cut.
        cut: CutId,
        /// When.
        interval: CommitInterval,
        /// The signed statement: DSSE envelope, JSON; none if it could not be signed.
        envelope: Option<Vec<u8>>,
        /// How long after a cut this host tells the customer, ms; nothing if it will not.
        told_after_ms: Option<u64>,
    },
    /// It is journalled and the kernel did not take it: it is tried again on every tick.
    NotYet {
        /// Stable code, kebab-case.
        code: String,
        /// What happened.
        message: String,
        /// Which way.
        direction: Direction,
        /// How long after a cut this host tells the customer, ms; nothing if it will not.
        told_after_ms: Option<u64>,
    },
    /// Refused, and nothing touched.
    Refused {
        /// Stable code, kebab-case.
        code: String,
        /// Why, and what to do.
        message: String,
    },
    /// How the tenants stand.
    Status(Vec<TenantStands>),
}

/// How a tenant stands on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStands {
    /// Which.
    pub tenant: TenantId,
    /// Its mark in packet filters.
    pub mark: Mark,
    /// The cut that is in force.
    pub cut: Option<CutId>,
    /// Who ordered it, if it was a person on this host.
    pub local: Option<LocalOrder>,
    /// How long after a cut by a person on this host the host would tell the customer, ms; nothing
    /// if no standing packet is kept.
    pub told_after_ms: Option<u64>,
}

impl CutLane {
    /// Answers a person on this host. One that has gone away meanwhile is no reason not to act.
    pub(super) fn take_local(&mut self, input: LocalInput) -> Result<(), EngineFailure> {
        let LocalInput { ask, answer } = input;
        let said = match ask {
            LocalAsk::Status(here) => self.status(here),
            LocalAsk::Act { tenant, mark, direction, login: (login, uid), by, reason } => {
                let at = self.desk.clock().now();
                let given = LocalOrder { login, uid, by, reason, at };
                let number = self.desk.number();
                let reserved = self.reserved(tenant, direction);
                let id = reserved.map(|reserved| reserved.cut);
                self.act_locally(
                    Asked { tenant, mark, direction, given, number, reserved: id },
                    reserved,
                )?
            }
        };
        let _ = answer.try_send(said);
        Ok(())
    }

    /// The id of the tenant's standing packet, for a cut; taken at once, and never waited for.
    fn reserved(&self, tenant: TenantId, direction: Direction) -> Option<Reserved> {
        let taken = || self.reserve.take(tenant);
        let reserved = (direction == Direction::Cut).then(taken).flatten();
        reserved.filter(|reserved| local::is_unused(self.desk.records(), reserved.cut))
    }

    fn act_locally(
        &mut self,
        asked: Asked,
        reserved: Option<Reserved>,
    ) -> Result<LocalAnswer, EngineFailure> {
        let refused =
            |code: &str, message: String| LocalAnswer::Refused { code: code.to_owned(), message };
        let Some(host) = self.identity.host.get().copied() else {
            let message = "this host has not been enrolled by a controller yet: it has no tenants";
            return Ok(refused("not-enrolled", message.to_owned()));
        };
        let (tenant, who) = (asked.tenant, asked.given.person());
        let record = match local::admit(asked, host, self.desk.records()) {
            Ok(record) => record,
            Err(refusal) => {
                if let Some(reserved) = reserved {
                    self.reserve.give_back(tenant, reserved);
                }
                let code = refusal.code();
                tracing::warn!(%tenant, code, who, "a local order was refused: {refusal}");
                return Ok(refused(code, refusal.to_string()));
            }
        };
        let isolation = Change::Isolation(record.isolation());
        self.desk.commit(vec![Change::Local(record.clone()), isolation])?;
        let (direction, reason) = (record.direction, record.given.reason.as_str());
        tracing::warn!(order = %record.id, %tenant, cut = %record.cut.cut, ?direction, who, reason,
            "a person on this host gave an order");
        let mut answer = self.carry_out_locally(record, host)?;
        if let LocalAnswer::Done { told_after_ms, .. } | LocalAnswer::NotYet { told_after_ms, .. } =
            &mut answer
        {
            *told_after_ms = reserved.map(|reserved| reserved.after_ms);
        }
        Ok(answer)
    }

    /// At start and on every tick: what the kernel has not taken yet is tried again, and what is
    /// over is forgotten.
    pub(super) fn resume_locally(&mut self) -> Result<(), EngineFailure> {
        let Some(host) = self.identity.host.get().copied() else { return Ok(()) };
        let (records, now) = (self.desk.records(), self.desk.clock().now());
        let stands =
            |local: &LocalRecord| records.isolations.get(&local.tenant) == Some(&local.isolation());
        let is_open = |local: &LocalRecord| local.stage == LocalStage::Accepted;
        let over = |local: &&LocalRecord| {
            let said = !records.queue.values().any(|report| report.order == local.id);
            let old = is_open(local) || now.ms_since(local.given.at) > KEEP_FINISHED_MS;
            !stands(local) && said && old
        };
        let forgotten: Vec<Change> =
            records.locals.values().filter(over).map(|one| Change::ForgetLocal(one.id)).collect();
        let open = |local: &&LocalRecord| is_open(local) && stands(local);
        let open: Vec<LocalRecord> = records.locals.values().filter(open).cloned().collect();
        if !forgotten.is_empty() {
            self.desk.commit(forgotten)?;
        }
        for record in open {
            self.carry_out_locally(record, host)?;
        }
        Ok(())
    }

    fn carry_out_locally(
        &mut self,
        record: LocalRecord,
        host: HostId,
    ) -> Result<LocalAnswer, EngineFailure> {
        let LocalRecord { id, tenant, cut: CutOrder { cut, .. }, direction, .. } = record;
        let act = LocalAct { id, tenant, host, cut, direction };
        let given = (record.given.digest(&act), Some(record.given.clone()));
        let not_yet = |code: String, message: String| {
            tracing::error!(order = %id, code, message, "a local order is not in force");
            Ok(LocalAnswer::NotYet { code, message, direction, told_after_ms: None })
        };
        let (outcome, envelopes) = match self.change(&record.as_order(host), given, None) {
            OrderState::Done { outcome, envelopes } => (outcome, envelopes),
            OrderState::Failed { code, message, .. } => return not_yet(code, message),
            other => return not_yet("host".to_owned(), format!("the change gave {other:?}")),
        };
        let (Outcome::Cut(interval) | Outcome::Restored(interval)) = outcome else {
            return not_yet("host".to_owned(), format!("the change gave {outcome:?}"));
        };
        let envelope = envelopes.into_iter().next();
        let stage = LocalStage::Done { envelope: envelope.clone() };
        self.finish_locally(LocalRecord { stage, ..record })?;
        Ok(LocalAnswer::Done { order: id, cut, interval, envelope, told_after_ms: None })
    }

    /// The end of a local order: its record and its report in one commit. The report of a restore
    /// tells of the cut as well, in place of that one's.
    fn finish_locally(&mut self, record: LocalRecord) -> Result<(), EngineFailure> {
        let report = self
            .statements(&record)
            .map(|envelopes| self.desk.report(record.id, OrderState::Local { envelopes }));
        let records = self.desk.records();
        let untold = self.cut_of(&record).and_then(|cut| {
            records.queue.iter().find(|(_, report)| report.order == cut.id).map(|(at, _)| *at)
        });
        let mut changes = vec![Change::Local(record)];
        changes.extend(untold.map(Change::Dequeue));
        changes.extend(report.clone().map(Change::Queue));
        self.desk.commit(changes)?;
        if let Some(report) = report {
            self.desk.send(report);
        }
        Ok(())
    }

    /// The cut that a restore ends.
    fn cut_of(&self, restore: &LocalRecord) -> Option<&LocalRecord> {
        let of = |local: &&LocalRecord| {
            local.cut.cut == restore.cut.cut && local.direction == Direction::Cut
        };
        let ends = restore.direction == Direction::Restore;
        self.desk.records().locals.values().find(of).filter(|_| ends)
    }

    /// What the controller is told of a local order; nothing of one that is not carried out, or of
    /// the end of a cut that never came about.
    fn statements(&self, record: &LocalRecord) -> Option<Vec<Vec<u8>>> {
        let said = |local: &LocalRecord| match &local.stage {
            LocalStage::Done { envelope } => envelope.clone(),
            LocalStage::Accepted => None,
        };
        match record.direction {
            Direction::Cut => Some(vec![said(record)?]),
            Direction::Restore => Some(vec![said(self.cut_of(record)?)?, said(record)?]),
        }
    }

    /// The link is new: what stands by a local order is told again although it has a receipt, since
    /// receipts are not signed. The controller knows it by its statement.
    pub(super) fn retell(&mut self) {
        let records = self.desk.records();
        let told: Vec<(OrderId, Vec<Vec<u8>>)> = records
            .isolations
            .values()
            .filter_map(|isolation| local::in_force(records, isolation))
            .filter(|local| !records.queue.values().any(|report| report.order == local.id))
            .filter_map(|local| Some((local.id, self.statements(local)?)))
            .collect();
        for (id, envelopes) in told {
            self.desk.tell(id, OrderState::Local { envelopes });
        }
    }

    fn status(&self, mut here: BTreeMap<TenantId, Mark>) -> LocalAnswer {
        let records = self.desk.records();
        let cut = records.isolations.values().filter(|one| one.isolation == Isolation::Cut);
        let cut: BTreeMap<TenantId, _> = cut.map(|one| (one.tenant, one)).collect();
        here.extend(cut.values().map(|one| (one.tenant, one.mark)));
        let stands = |(tenant, mark)| {
            let isolation = cut.get(&tenant).copied();
            let local = isolation.and_then(|one| local::in_force(records, one));
            let (cut, local) = (isolation.map(|one| one.cut), local.map(|one| one.given.clone()));
            let told_after_ms = self.reserve.of(tenant).map(|reserved| reserved.after_ms);
            TenantStands { tenant, mark, cut, local, told_after_ms }
        };
        LocalAnswer::Status(here.into_iter().map(stands).collect())
    }
}
