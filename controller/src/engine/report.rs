//! What hosts report. A report is durable before it is answered; the same report again gets the
//! same answer. Envelopes are opened with the host's registered key before anything in them counts.

mod ends;

use ed25519_dalek::SigningKey;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        key::PublicKey,
        predicate::{Predicate, network_cut::Direction},
    },
    id::HostId,
    time::Timestamp,
    wire::{
        order::SignedOrder,
        v1::{
            Action, CommitInterval, IntentReceipt, IntentRefusal, OrderState, Outcome, Power,
            Report, ReportReceipt,
        },
    },
};

use super::{Engine, EngineError, Reply, act::Beside, adopt, platform};
use crate::{
    core::{
        attestation::{self, About, Attested},
        lifecycle::{Actor, Event, Reported},
    },
    store::{self, NewEvidence, row::OrderRecord},
};

/// Longest word of a host that is kept, characters.
const MESSAGE_LIMIT: usize = 2_000;

/// Code of an order that failed because an envelope of its report does not hold.
const EVIDENCE_BAD: &str = "evidence-bad";

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
    /// host's; [`EngineError::Blocked`]; [`EngineError::Ledger`] if an intent cannot be entered. An
    /// envelope that does not hold is none: the order has failed then, and the receipt says that
    /// the report is taken, for it would be no better if it were sent again.
    pub async fn report(&self, host: HostId, report: Report) -> Result<Reply, EngineError> {
        let receipt = ReportReceipt { order: report.order, sequence: report.sequence };
        if let OrderState::Local { envelopes } = &report.state {
            self.adopt(host, envelopes).await?;
            return Ok(Reply { receipt: Some(receipt), ..Reply::default() });
        }
        let known = self.known_order(host, &report).await?;
        // What comes again after an order's end changes nothing, and costs nothing either.
        if is_final(&known.record.state) && is_last_word(&report.state) {
            return Ok(Reply { receipt: Some(receipt), ..Reply::default() });
        }
        ends::check(&known, &report.state).map_err(EngineError::Invalid)?;
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
                return self.announced(known, receipt, envelope).await;
            }
            OrderState::Done { outcome, envelopes } => {
                let opened = Opened::of(&known, envelopes);
                let reported = outcome_of(outcome, &opened);
                ends::check_outcome(&known, &reported).map_err(EngineError::Invalid)?;
                let (state, words) = match &reported {
                    Reported::Failed { code, message, .. } => {
                        tracing::error!(%host, order = %report.order, code, message, "no proof");
                        ("failed", Some(format!("{code}: {message}")))
                    }
                    Reported::Configured { .. }
                    | Reported::Cut { .. }
                    | Reported::Restored { .. }
                    | Reported::WipeIntent { .. }
                    | Reported::Wiped { .. }
                    | Reported::Refused { .. } => ("done", None),
                };
                self.settle(known, state, words, reported, opened.good).await?;
            }
            OrderState::Failed { code, message, envelopes }
            | OrderState::Unmade { refused: false, code, message, envelopes, .. } => {
                let opened = Opened::of(&known, envelopes);
                let findings = attestation::findings(&opened.attested());
                let message = match &opened.bad {
                    Some(bad) => format!("{message} ({EVIDENCE_BAD}: {bad})"),
                    None => message.clone(),
                };
                let (code, message) = (clip(code), clip(&message));
                let words = Some(format!("{code}: {message}"));
                let reported = Reported::Failed { code, message, findings };
                self.settle(known, "failed", words, reported, opened.good).await?;
            }
            // Taken above: it is on no order of the controller.
            OrderState::Local { .. } => {}
            OrderState::Refused { code, message }
            | OrderState::Unmade { refused: true, code, message, .. } => {
                let (code, message) = (clip(code), clip(message));
                let words = Some(format!("{code}: {message}"));
                let reported = Reported::Refused { code, message };
                self.settle(known, "refused", words, reported, Vec::new()).await?;
            }
        }
        Ok(Reply { receipt: Some(receipt), ..Reply::default() })
    }

    /// A wipe's intent is either in the ledger, or ends its order.
    async fn announced(
        &self,
        known: Known,
        receipt: ReportReceipt,
        envelope: &[u8],
    ) -> Result<Reply, EngineError> {
        // Nothing that comes after it ends an order whose intent is taken: it may be destroying.
        let said = store::intent_of(&mut *self.inner.store.read().await?, known.record.id).await?;
        if said.is_some_and(|said| said != Digest::of(envelope)) {
            let sentence = "this order has another intent in the ledger already";
            return Err(EngineError::Invalid(sentence.to_owned()));
        }
        let (code, message) = match declared(&known, envelope, &self.inner.keys.order) {
            Ok(attested) => match self.intended(&known, attested, envelope).await {
                Ok(intent) => {
                    return Ok(Reply {
                        receipt: Some(receipt),
                        intent: Some(intent),
                        refusal: None,
                    });
                }
                // The order is no longer wanted.
                Err(EngineError::Refused(refusal)) => {
                    (refusal.code.as_str().to_owned(), refusal.sentence)
                }
                Err(error) => return Err(error),
            },
            Err(message) => (EVIDENCE_BAD.to_owned(), message),
        };
        let message = clip(&message);
        self.turn_down(known, code.clone(), message.clone()).await?;
        let ReportReceipt { order, sequence } = receipt;
        let refusal = IntentRefusal { order, sequence, code, message };
        Ok(Reply { receipt: Some(receipt), intent: None, refusal: Some(refusal) })
    }

    async fn known_order(&self, host: HostId, report: &Report) -> Result<Known, EngineError> {
        let mut conn = self.inner.store.read().await?;
        let order = store::order(&mut conn, report.order).await?;
        let (record, signed) = order.ok_or(EngineError::NotFound("order"))?;
        if record.host != host {
            let sentence = format!("order {} is not this host's", record.id);
            return Err(EngineError::Invalid(sentence));
        }
        let host = platform::admitted(&mut conn, host).await?;
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
    async fn intended(
        &self,
        known: &Known,
        attested: Attested,
        envelope: &[u8],
    ) -> Result<IntentReceipt, EngineError> {
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

    /// An intent that is not taken ends its order: the host said its last word, and sending it
    /// again would not mend it. Nothing was destroyed; a new attempt needs new approvals.
    async fn turn_down(
        &self,
        known: Known,
        code: String,
        message: String,
    ) -> Result<(), EngineError> {
        tracing::error!(order = %known.record.id, code, message, "an intent is not taken");
        let findings = Vec::new();
        let words = Some(format!("{code}: {message}"));
        let reported = Reported::Failed { code, message, findings };
        self.settle(known, "failed", words, reported, Vec::new()).await
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
        good: Vec<(Attested, Vec<u8>)>,
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
        let report = within(report, record.issued_at, self.inner.clock.now());
        let beside = Beside {
            order: Some(record),
            evidence: good.iter().map(|(one, bytes)| kept(&known, one, bytes)).collect(),
            ..Beside::default()
        };
        let (order, host, tenant) = (known.record.id, known.record.host, known.record.tenant);
        let event = Event::OrderReported { host, order, report };
        self.act_or_record(tenant, &event, &beside).await
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

/// A report's envelopes: those that hold, with their bytes, and why the first of the others does
/// not.
struct Opened {
    good: Vec<(Attested, Vec<u8>)>,
    bad: Option<String>,
}

impl Opened {
    fn of(known: &Known, envelopes: &[Vec<u8>]) -> Self {
        let about = about(known);
        let mut opened = Self { good: Vec::new(), bad: None };
        for envelope in envelopes {
            match attestation::open(envelope, &known.key, &about) {
                Ok(attested) => opened.good.push((attested, envelope.clone())),
                Err(error) => {
                    let digest = Digest::of(envelope);
                    opened.bad.get_or_insert(format!("{error}; its digest is {digest}"));
                }
            }
        }
        opened
    }

    fn attested(&self) -> Vec<Attested> {
        self.good.iter().map(|(attested, _)| attested.clone()).collect()
    }

    /// What is reported of an outcome that no envelope bears out.
    fn unproven(&self) -> Reported {
        let (code, message) = match &self.bad {
            Some(bad) => (EVIDENCE_BAD, bad.as_str()),
            None => ("not-attested", "no statement that the host signed bears the outcome out"),
        };
        let (code, message) = (code.to_owned(), clip(message));
        Reported::Failed { code, message, findings: attestation::findings(&self.attested()) }
    }

    /// Whether the host signed that the kernel did this, in just this interval.
    fn committed(&self, direction: Direction, interval: &CommitInterval) -> bool {
        self.good.iter().any(|(attested, _)| match &attested.predicate {
            Predicate::NetworkCut(cut) => {
                cut.in_force()
                    && cut.direction == direction
                    && cut.measured.earliest == interval.earliest
                    && cut.measured.latest == interval.latest
                    && cut.measured.took_ns == interval.took_ns
            }
            Predicate::WipeIntent(_)
            | Predicate::MediaWipe(_)
            | Predicate::MemoryWipe(_)
            | Predicate::KeyErasure(_)
            | Predicate::Notification(_)
            | Predicate::Configuration(_)
            | Predicate::TenantExit(_)
            | Predicate::DeviceSanitizeIntent(_)
            | Predicate::DeviceSanitize(_) => false,
        })
    }

    /// What the host signed that it runs.
    fn configured(&self) -> Option<Reported> {
        self.good.iter().find_map(|(attested, _)| match &attested.predicate {
            Predicate::Configuration(seen) => {
                let power = |running| if running { Power::Running } else { Power::Stopped };
                let seen = seen.measured.instances.iter();
                let instances = seen.map(|one| (one.instance, power(one.running))).collect();
                Some(Reported::Configured { instances })
            }
            Predicate::WipeIntent(_)
            | Predicate::MediaWipe(_)
            | Predicate::MemoryWipe(_)
            | Predicate::KeyErasure(_)
            | Predicate::NetworkCut(_)
            | Predicate::Notification(_)
            | Predicate::TenantExit(_)
            | Predicate::DeviceSanitizeIntent(_)
            | Predicate::DeviceSanitize(_) => None,
        })
    }
}

/// The intent in an envelope: signed, and to destroy exactly what the order asks for.
fn declared(known: &Known, envelope: &[u8], key: &SigningKey) -> Result<Attested, String> {
    let attested = attestation::open(envelope, &known.key, &about(known))
        .map_err(|error| error.to_string())?;
    let order = known.signed.verify(&key.verifying_key()).map_err(|error| error.to_string())?;
    let fits = match &order.action {
        Action::Wipe(wipe) => attestation::is_intent(&attested, wipe.attempt, &wipe.subjects),
        Action::Configure(_) | Action::Cut(_) | Action::Restore(_) => false,
    };
    if fits {
        Ok(attested)
    } else {
        Err("the intent does not name exactly what the order asks to destroy".to_owned())
    }
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

/// What an outcome comes to: only what the host signed counts.
fn outcome_of(outcome: &Outcome, opened: &Opened) -> Reported {
    let proven = match outcome {
        Outcome::Configured { .. } => opened.configured(),
        Outcome::Cut(interval) => opened
            .committed(Direction::Cut, interval)
            .then_some(Reported::Cut { interval: *interval }),
        Outcome::Restored(interval) => opened
            .committed(Direction::Restore, interval)
            .then_some(Reported::Restored { interval: *interval }),
        Outcome::Wiped => opened
            .bad
            .is_none()
            .then(|| Reported::Wiped { findings: attestation::findings(&opened.attested()) }),
    };
    proven.unwrap_or_else(|| opened.unproven())
}

/// The report with what its host's clock said of a commit held between the order and now: no clock
/// that is wrong puts the five minutes off, or has them begin before anything was ordered. The
/// host's own word stays in its order and its statement.
fn within(mut report: Reported, ordered_at: Timestamp, now: Timestamp) -> Reported {
    if let Reported::Cut { interval } | Reported::Restored { interval } = &mut report {
        *interval = adopt::between(*interval, ordered_at, now);
    }
    report
}

fn is_final(state: &str) -> bool {
    matches!(state, "done" | "failed" | "refused")
}

const fn is_last_word(state: &OrderState) -> bool {
    matches!(
        state,
        OrderState::Done { .. }
            | OrderState::Failed { .. }
            | OrderState::Refused { .. }
            | OrderState::Unmade { .. }
    )
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
