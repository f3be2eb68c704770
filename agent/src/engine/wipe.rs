//! Carrying out a wipe: announce, wait for the proof, destroy, attest, dismantle.
//!
//! The stages are those of [`crate::core::record`]; each is durable before the next begins, so a
//! kill at any point and a restart go on with the same attempt. Nothing in this file performs a
//! step that destroys unless the wipe's stage is `Released`.

use tenure_protocol::{
    digest::Digest,
    evidence::predicate::{
        Ending, KeyErasureMeasured, NotMeasured, Run,
        key_erasure::{Escrow, KeyCopy, KeyPlace},
    },
    time::Timestamp,
    wire::v1::{Order, OrderState, Outcome, Progress, WipeOrder, WipeSubject},
};

use super::{EngineFailure, work::WorkLane};
use crate::{
    core::{
        attest, plan,
        record::{Change, Fate, OrderRecord, SubjectStage, TenantRecord, WipeRecord, WipeStage},
        step::{HostFailure, MemoryWipe, Performed, Step, StepProgress, VolumeWipe, WipeFacts},
    },
    host::{disk, memory},
};

/// One released wipe while it is carried out.
struct Act<'a> {
    record: &'a OrderRecord,
    order: &'a Order,
    wipe: &'a WipeOrder,
    tenant: TenantRecord,
    intent: Digest,
    run: Run,
}

impl WorkLane {
    pub(super) fn wipe(
        &self,
        record: OrderRecord,
        order: &Order,
        wipe: &WipeOrder,
    ) -> Result<(), EngineFailure> {
        let (progress, tenant) = {
            let mut desk = self.desk();
            let records = desk.records();
            let progress = records.wipes.get(&order.id).cloned();
            let tenant = records.tenants.get(&order.tenant).cloned();
            match progress.zip(tenant) {
                Some(both) => both,
                None => {
                    let message = "the wipe's record is not in the journal".to_owned();
                    return self.fail(&mut desk, record, "not-readable", message, vec![], vec![]);
                }
            }
        };
        match &progress.stage {
            WipeStage::Planned => self.announce(record, order, wipe, progress, &tenant),
            WipeStage::Announced { .. } => Ok(()),
            WipeStage::Released { intent, .. } => {
                let intent = Digest::of(intent);
                // `last_intent` is this attempt's own by now: the run's is in the intent itself.
                let run = attest::run(wipe, progress.supersedes);
                let act = Act { record: &record, order, wipe, tenant, intent, run };
                self.destroy(&act)
            }
        }
    }

    fn announce(
        &self,
        record: OrderRecord,
        order: &Order,
        wipe: &WipeOrder,
        progress: WipeRecord,
        tenant: &TenantRecord,
    ) -> Result<(), EngineFailure> {
        let origin = self.identity.origin(order, record.digest, self.clock.quality());
        let supersedes = tenant.last_intent;
        let run = attest::run(wipe, supersedes);
        let statement = attest::intent(origin, run, self.clock.now(), &wipe.subjects);
        let sealed = self.identity.key.seal(&statement);
        let mut desk = self.desk();
        let intent = match sealed {
            Ok(intent) => intent,
            Err(error) => {
                let changes = vec![Change::ForgetWipe(order.id)];
                let message = error.to_string();
                return self.fail(&mut desk, record, "intent-unfit", message, vec![], changes);
            }
        };
        let report = desk.report(order.id, OrderState::Intent { envelope: intent.clone() });
        let stage = WipeStage::Announced { intent, sequence: report.sequence };
        let wipe = WipeRecord { stage, supersedes, ..progress };
        desk.commit(vec![Change::Wipe(wipe), Change::Queue(report.clone())])?;
        tracing::info!(order = %order.id, tenant = %order.tenant, "wipe announced");
        desk.send(report);
        Ok(())
    }

    fn destroy(&self, act: &Act<'_>) -> Result<(), EngineFailure> {
        self.desk().tell(act.order.id, OrderState::Started);
        if let Err(HostFailure { code, sentence }) = self.quiesce(&act.tenant) {
            return self.end(act, Some((code, sentence)));
        }
        for index in 0..act.wipe.subjects.len() {
            self.destroy_subject(act, index)?;
            if self.is_stopped() {
                return Err(EngineFailure::Stopped);
            }
        }
        self.end(act, None)
    }

    fn quiesce(&self, tenant: &TenantRecord) -> Result<(), HostFailure> {
        let observed = self.host.observe()?;
        for step in plan::quiesce(tenant, &observed) {
            self.host.perform(&step, &mut |_| {})?;
        }
        Ok(())
    }

    /// Brings one subject from wherever it is to `Attested`.
    fn destroy_subject(&self, act: &Act<'_>, index: usize) -> Result<(), EngineFailure> {
        loop {
            let Some((subject, stage)) = self.subject(act, index) else { return Ok(()) };
            let next = match stage {
                SubjectStage::Pending => SubjectStage::Working { resume: None },
                SubjectStage::Working { resume } => self.overwrite(act, index, subject, resume)?,
                SubjectStage::Measured { facts } => self.remove(act, subject, &facts),
                SubjectStage::Attested { .. } => return Ok(()),
            };
            self.stage(act, index, next)?;
        }
    }

    fn overwrite(
        &self,
        act: &Act<'_>,
        index: usize,
        subject: WipeSubject,
        resume: Option<Vec<u8>>,
    ) -> Result<SubjectStage, EngineFailure> {
        let nonce = act.wipe.nonce;
        let step = match subject {
            WipeSubject::Volume { instance, volume } => {
                Step::WipeVolume(VolumeWipe { instance, volume, nonce, resume })
            }
            WipeSubject::Memory { instance } => {
                Step::WipeMemory(MemoryWipe { instance, nonce, resume })
            }
        };
        let mut lost = None;
        let performed = self.host.perform(&step, &mut |progress| {
            if lost.is_none() {
                lost = self.note(act, index, step.name(), progress).err();
            }
        });
        if let Some(failure) = lost {
            return Err(failure);
        }
        let attested = |envelopes| SubjectStage::Attested { passed: false, envelopes };
        match performed {
            Ok(Performed::Wiped(facts)) => match serde_json::to_vec(&facts) {
                Ok(facts) => Ok(SubjectStage::Measured { facts }),
                Err(error) => {
                    tracing::error!(order = %act.order.id, "facts cannot be kept: {error}");
                    Ok(attested(Vec::new()))
                }
            },
            Ok(other) => {
                tracing::error!(order = %act.order.id, "the host answered a wipe with {other:?}");
                Ok(attested(Vec::new()))
            }
            Err(failure) => {
                tracing::error!(order = %act.order.id, ?subject, code = failure.code, "{failure}");
                let facts = unmeasured(subject, failure, self.clock.now());
                Ok(serde_json::to_vec(&facts).map_or_else(
                    |_| attested(Vec::new()),
                    |facts| SubjectStage::Measured { facts },
                ))
            }
        }
    }

    /// Keeps the step's note to itself, and tells how far it is.
    fn note(
        &self,
        act: &Act<'_>,
        index: usize,
        step: &str,
        progress: StepProgress,
    ) -> Result<(), EngineFailure> {
        let StepProgress { done_bytes, total_bytes, resume } = progress;
        self.stage(act, index, SubjectStage::Working { resume: Some(resume) })?;
        let progress = Progress { step: step.to_owned(), done_bytes, total_bytes };
        self.desk().tell(act.order.id, OrderState::Progress(progress));
        Ok(())
    }

    /// Unlinks what is proved to be overwritten, and attests.
    fn remove(&self, act: &Act<'_>, subject: WipeSubject, facts: &[u8]) -> SubjectStage {
        let Ok(facts) = serde_json::from_slice::<WipeFacts>(facts) else {
            tracing::error!(order = %act.order.id, ?subject, "facts in the journal are unreadable");
            return SubjectStage::Attested { passed: false, envelopes: Vec::new() };
        };
        let mut passed = attest::passes(&facts);
        let mut facts = facts;
        if passed {
            let step = match subject {
                WipeSubject::Volume { volume, .. } => Step::RemoveVolume { volume },
                WipeSubject::Memory { instance } => Step::RemoveInstance { instance },
            };
            match self.host.perform(&step, &mut |_| {}) {
                Ok(_) => facts = attest::unlinked(facts),
                Err(failure) => {
                    tracing::error!(?subject, code = failure.code, "not removed: {failure}");
                    passed = false;
                }
            }
        }
        let origin = self.identity.origin(act.order, act.record.digest, self.clock.quality());
        let claimed = attest::claimed_bytes(&act.tenant.wanted, subject);
        let statements = attest::wiped(&origin, &act.run, act.intent, subject, claimed, facts);
        let mut envelopes = Vec::new();
        for statement in &statements {
            match self.identity.key.seal(statement) {
                Ok(envelope) => envelopes.push(envelope),
                Err(error) => {
                    tracing::error!(order = %act.order.id, ?subject, "not attested: {error}");
                    passed = false;
                }
            }
        }
        tracing::info!(order = %act.order.id, ?subject, passed, "subject attested");
        SubjectStage::Attested { passed, envelopes }
    }

    /// Ends the order: with all envelopes, and with the tenant destroyed if every subject passed.
    fn end(
        &self,
        act: &Act<'_>,
        failure: Option<(&'static str, String)>,
    ) -> Result<(), EngineFailure> {
        let mut tenant = act.tenant.clone();
        let mut envelopes = Vec::new();
        let mut missing = Vec::new();
        for index in 0..act.wipe.subjects.len() {
            let Some((subject, stage)) = self.subject(act, index) else { continue };
            match stage {
                SubjectStage::Attested { passed: true, envelopes: of_it } => {
                    tenant.inventory.remove(&subject);
                    envelopes.extend(of_it);
                }
                SubjectStage::Attested { passed: false, envelopes: of_it } => {
                    missing.push(subject);
                    envelopes.extend(of_it);
                }
                SubjectStage::Pending
                | SubjectStage::Working { .. }
                | SubjectStage::Measured { .. } => missing.push(subject),
            }
        }
        let record = act.record.clone();
        let forget = Change::ForgetWipe(act.order.id);
        if let Some((code, sentence)) = failure {
            let changes = vec![Change::Tenant(tenant), forget];
            return self.fail(&mut self.desk(), record, code, sentence, envelopes, changes);
        }
        if !missing.is_empty() {
            let message = format!(
                "{} of {} things are not proved to be wiped: {missing:?}; the attestations and \
                 the host's log say why; order another attempt",
                missing.len(),
                act.wipe.subjects.len()
            );
            let changes = vec![Change::Tenant(tenant), forget];
            let code = "wipe-incomplete";
            return self.fail(&mut self.desk(), record, code, message, envelopes, changes);
        }
        tenant.fate = Fate::Destroyed { at: self.clock.now() };
        self.dismantle(&tenant);
        tracing::info!(order = %act.order.id, tenant = %tenant.tenant, "tenant wiped");
        let state = OrderState::Done { outcome: Outcome::Wiped, envelopes };
        self.desk().finish(record, state, vec![Change::Tenant(tenant), forget])
    }

    /// Nothing of what is left holds data: a failure here is logged, and no failure of the wipe.
    fn dismantle(&self, tenant: &TenantRecord) {
        let mut tenants = self.desk().records().tenants.clone();
        tenants.insert(tenant.tenant, tenant.clone());
        let steps = match self.host.observe() {
            Ok(observed) => plan::dismantle(tenant, &tenants, &observed),
            Err(failure) => {
                tracing::error!(tenant = %tenant.tenant, "cannot dismantle: {failure}");
                return;
            }
        };
        for step in steps {
            if let Err(failure) = self.host.perform(&step, &mut |_| {}) {
                tracing::error!(tenant = %tenant.tenant, step = step.name(), "{failure}");
            }
        }
    }

    fn subject(&self, act: &Act<'_>, index: usize) -> Option<(WipeSubject, SubjectStage)> {
        let desk = self.desk();
        let one = desk.records().wipes.get(&act.order.id)?.subjects.get(index)?;
        Some((one.subject, one.stage.clone()))
    }

    fn stage(&self, act: &Act<'_>, index: usize, stage: SubjectStage) -> Result<(), EngineFailure> {
        let mut desk = self.desk();
        let Some(mut wipe) = desk.records().wipes.get(&act.order.id).cloned() else {
            return Ok(());
        };
        if let Some(subject) = wipe.subjects.get_mut(index) {
            subject.stage = stage;
        }
        desk.commit(vec![Change::Wipe(wipe)])
    }
}

/// The facts of a step that failed before it could tell any: a statement says at least that.
fn unmeasured(subject: WipeSubject, failure: HostFailure, now: Timestamp) -> WipeFacts {
    let ending = Ending::Aborted;
    let reason = failure.sentence;
    let missed = |what: &str| NotMeasured { what: what.to_owned(), reason: reason.clone() };
    match subject {
        WipeSubject::Volume { .. } => {
            let media = disk::unmeasured(ending, now);
            let key_file = KeyCopy {
                place: KeyPlace::KeyFile,
                destroyed: false,
                detail: "not known: the wipe failed before it could tell".to_owned(),
            };
            let key = KeyErasureMeasured {
                ending,
                span: media.span,
                encryption: "unknown".to_owned(),
                encrypted_from_first_byte: false,
                copies: vec![key_file],
                header: None,
                escrow: Escrow::Unknown,
            };
            WipeFacts::Volume {
                media: Box::new(media),
                key,
                device_reported: Vec::new(),
                not_measured: vec![missed("the volume's blocks"), missed("the volume's key")],
            }
        }
        WipeSubject::Memory { .. } => WipeFacts::Memory {
            memory: memory::unmeasured(ending, now),
            not_measured: vec![missed("the instance's memory")],
        },
    }
}
