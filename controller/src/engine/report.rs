//! What hosts report. A report is durable before it is answered; the same report again gets the
//! same answer. Envelopes are opened with the host's registered key before anything in them counts.

use tenure_protocol::{
    digest::Digest,
    evidence::key::PublicKey,
    id::HostId,
    wire::{
        order::SignedOrder,
        v1::{Action, IntentReceipt, OrderState, Outcome, Report, ReportReceipt},
    },
};

use super::{Engine, EngineError, Reply, act::Beside};
use crate::{
    core::{
        attestation::{self, About, Attested},
        lifecycle::{Actor, Event, Reported},
    },
    store::{self, NewEvidence, record::OrderRecord},
};

/// Longest word of a host that is kept, characters.
const MESSAGE_LIMIT: usize = 2_000;

/// An order, its record, and the key that its host signs with.
struct Known {
    record: OrderRecord,
    signed: SignedOrder,
    key: PublicKey,
}

impl Engine {
    /// Takes a host's report in; durable when it returns. `host` is from the certificate.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown order; [`EngineError::Invalid`] if it is another
    /// host's, or an envelope does not hold; [`EngineError::Ledger`] if an intent cannot be
    /// entered.
    pub async fn report(&self, host: HostId, report: Report) -> Result<Reply, EngineError> {
        let receipt = ReportReceipt { order: report.order, sequence: report.sequence };
        let known = self.known_order(host, &report).await?;
        let done = |receipt| Reply { receipt: Some(receipt), intent: None };
        match &report.state {
            OrderState::Journalled => self.note(known, "journalled", None).await?,
            OrderState::Started => self.note(known, "started", None).await?,
            OrderState::Progress(progress) => {
                let text = format!(
                    "{}: {} of {} bytes",
                    progress.step, progress.done_bytes, progress.total_bytes
                );
                self.note(known, "started", Some(text)).await?;
            }
            OrderState::Intent { envelope } => {
                let intent = self.intended(&known, envelope).await?;
                return Ok(Reply { receipt: Some(receipt), intent: Some(intent) });
            }
            OrderState::Done { outcome, envelopes } => {
                let attested = open_all(&known, envelopes)?;
                let reported = outcome_of(outcome, &attested);
                self.settle(known, "done", None, reported, attested, envelopes).await?;
            }
            OrderState::Failed { code, message, envelopes } => {
                let attested = open_all(&known, envelopes)?;
                let findings = attestation::findings(&attested);
                let (code, message) = (clip(code), clip(message));
                let words = Some(format!("{code}: {message}"));
                let reported = Reported::Failed { code, message, findings };
                self.settle(known, "failed", words, reported, attested, envelopes).await?;
            }
            OrderState::Refused { code, message } => {
                let (code, message) = (clip(code), clip(message));
                let words = Some(format!("{code}: {message}"));
                let reported = Reported::Refused { code, message };
                self.settle(known, "refused", words, reported, Vec::new(), &[]).await?;
            }
        }
        Ok(done(receipt))
    }

    async fn known_order(&self, host: HostId, report: &Report) -> Result<Known, EngineError> {
        let mut conn = self.inner.store.read().await?;
        let order = store::order(&mut conn, report.order).await?;
        let (record, signed) = order.ok_or(EngineError::NotFound("order"))?;
        if record.host != host {
            let sentence = format!("order {} is not this host's", record.id);
            return Err(EngineError::Invalid(sentence));
        }
        let host = store::host(&mut conn, host).await?.ok_or(EngineError::NotFound("host"))?;
        let key = PublicKey::from_bytes(&host.host_key)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        Ok(Known { record, signed, key })
    }

    /// How far an order is: kept on the order alone, and never over its end.
    async fn note(
        &self,
        known: Known,
        state: &str,
        message: Option<String>,
    ) -> Result<(), EngineError> {
        let mut tx = self.inner.store.write().await?;
        let Some((mut record, _)) = store::order(&mut tx, known.record.id).await? else {
            return Err(EngineError::NotFound("order"));
        };
        if store::is_open(&record.state) && rank(state) >= rank(&record.state) {
            state.clone_into(&mut record.state);
            record.reported_at = Some(self.inner.clock.now());
            record.message = message.map(|text| clip(&text)).or(record.message);
            store::save_order(&mut tx, &record).await?;
        }
        Ok(store::commit(tx).await?)
    }

    /// A wipe's intent: into the journal and the ledger, and only then the receipt.
    async fn intended(&self, known: &Known, envelope: &[u8]) -> Result<IntentReceipt, EngineError> {
        let attested = attestation::open(envelope, &known.key, &about(known))
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let order = known.signed.verify(&self.inner.keys.order.verifying_key());
        let order = order.map_err(|error| EngineError::Invalid(error.to_string()))?;
        let fits = match &order.action {
            Action::Wipe(wipe) => attestation::is_intent(&attested, wipe.attempt, &wipe.subjects),
            Action::Configure(_) | Action::Cut(_) | Action::Restore(_) => false,
        };
        if !fits {
            let sentence = "the intent does not name exactly what the order asks to destroy";
            return Err(EngineError::Invalid(sentence.to_owned()));
        }
        let digest = attested.digest;
        if store::evidence(&mut *self.inner.store.read().await?, digest).await?.is_none() {
            let mut record = known.record.clone();
            if store::is_open(&record.state) {
                "intent".clone_into(&mut record.state);
                record.reported_at = Some(self.inner.clock.now());
            }
            let beside = Beside {
                order: Some(record),
                evidence: vec![kept(known, &attested, envelope)],
                ..Beside::default()
            };
            let (order, host) = (known.record.id, known.record.host);
            let report = Reported::WipeIntent { envelope: digest };
            let event = Event::OrderReported { host, order, report };
            // An intent on an order that is no longer wanted gets no receipt: nothing is destroyed.
            self.act_beside(&Actor::controller(), known.record.tenant, &event, &beside).await?;
        }
        self.drain().await?;
        self.intent_receipt(known, digest).await
    }

    async fn intent_receipt(
        &self,
        known: &Known,
        digest: Digest,
    ) -> Result<IntentReceipt, EngineError> {
        let kept = store::evidence(&mut *self.inner.store.read().await?, digest).await?;
        let (record, entry) = kept.ok_or(EngineError::NotFound("envelope"))?;
        let index = record.ledger_index.ok_or(EngineError::Conflict)?;
        let proof = self.ledger().proof(index)?;
        Ok(IntentReceipt {
            order: known.record.id,
            entry,
            index,
            proof: proof.proof,
            checkpoint: proof.checkpoint,
        })
    }

    /// The end of an order. If the lifecycle no longer waits for it, the facts are kept all the
    /// same.
    async fn settle(
        &self,
        known: Known,
        state: &str,
        message: Option<String>,
        report: Reported,
        attested: Vec<Attested>,
        envelopes: &[Vec<u8>],
    ) -> Result<(), EngineError> {
        if is_final(&known.record.state) {
            return Ok(());
        }
        let mut record = known.record.clone();
        state.clone_into(&mut record.state);
        record.reported_at = Some(self.inner.clock.now());
        record.message = message;
        record.interval = match &report {
            Reported::Cut { interval } | Reported::Restored { interval } => Some(*interval),
            Reported::Configured { .. }
            | Reported::WipeIntent { .. }
            | Reported::Wiped { .. }
            | Reported::Failed { .. }
            | Reported::Refused { .. } => None,
        };
        let pairs = attested.iter().zip(envelopes);
        let beside = Beside {
            order: Some(record),
            evidence: pairs.map(|(attested, bytes)| kept(&known, attested, bytes)).collect(),
            ..Beside::default()
        };
        let (order, host, tenant) = (known.record.id, known.record.host, known.record.tenant);
        let event = Event::OrderReported { host, order, report };
        match self.act_beside(&Actor::controller(), tenant, &event, &beside).await {
            Ok(_) => Ok(()),
            Err(EngineError::Refused(refusal)) => {
                tracing::warn!(%order, %tenant, code = refusal.code.as_str(), "late report");
                self.record_only(tenant, &beside).await
            }
            Err(error) => Err(error),
        }
    }
}

fn about(known: &Known) -> About {
    About {
        order: known.record.id,
        digest: known.signed.digest(),
        host: known.record.host,
        tenant: known.record.tenant,
    }
}

fn open_all(known: &Known, envelopes: &[Vec<u8>]) -> Result<Vec<Attested>, EngineError> {
    let about = about(known);
    envelopes
        .iter()
        .map(|envelope| attestation::open(envelope, &known.key, &about))
        .collect::<Result<_, _>>()
        .map_err(|error| EngineError::Invalid(error.to_string()))
}

fn kept(known: &Known, attested: &Attested, envelope: &[u8]) -> NewEvidence {
    NewEvidence {
        kind: attested.kind.name(),
        host: Some(known.record.host),
        keyid: known.key.id(),
        order: Some(known.record.id),
        envelope: envelope.to_vec(),
    }
}

fn outcome_of(outcome: &Outcome, attested: &[Attested]) -> Reported {
    match outcome {
        Outcome::Configured { instances } => Reported::Configured {
            instances: instances.iter().map(|seen| (seen.instance, seen.power)).collect(),
        },
        Outcome::Cut(interval) => Reported::Cut { interval: *interval },
        Outcome::Restored(interval) => Reported::Restored { interval: *interval },
        Outcome::Wiped => Reported::Wiped { findings: attestation::findings(attested) },
    }
}

fn is_final(state: &str) -> bool {
    matches!(state, "done" | "failed" | "refused")
}

fn rank(state: &str) -> u8 {
    match state {
        "open" => 0,
        "journalled" => 1,
        "started" => 2,
        "intent" => 3,
        _ => 4,
    }
}

fn clip(text: &str) -> String {
    text.chars().take(MESSAGE_LIMIT).collect()
}
