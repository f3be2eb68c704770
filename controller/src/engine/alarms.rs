//! Alarms of hosts: each is believed by its host's signature, kept once, entered among the
//! platform's acts, and told to the provider's contacts, though not more often than they can read
//! ([`crate::core::alarm`]). Where two persons have signed for it, a tenant is cut for an anomaly
//! in the same transaction, so once ([`crate::core::anomaly`]).
//!
//! Whoever owns a host's network side can hold an alarm back, and let it come after later ones
//! about the same: then it is kept and told, but neither stands nor cuts. A host that is installed
//! anew joins under another id, so that no number of an alarm is used again.

use ed25519_dalek::VerifyingKey;
use serde_json::json;
use tenure_protocol::{
    id::HostId,
    wire::v1::{Alarm, HostAlarm, SignedAlarm},
};

use super::{
    Call, Engine, EngineError, Page, Slice, act::Followed, hosts::need, platform, row::AlarmRecord,
};
use crate::{
    core::{
        admission,
        alarm::{self, Told},
        anomaly,
        draw::Draw,
        lifecycle::{Actor, CutKind, Event, Role},
        tenant::Tenant,
    },
    store::{self, Heard, Tx},
};

/// Who may end an alarm.
const ENDERS: &[Role] = &[Role::Operator, Role::Security];

impl Engine {
    /// Takes an alarm of the host in, and gives its number. It is durable when this returns; heard
    /// again, it changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if the host's key did not sign it as this host's;
    /// [`EngineError::NotFound`], [`EngineError::Blocked`], [`EngineError::Store`].
    pub async fn alarm(&self, id: HostId, signed: &SignedAlarm) -> Result<u64, EngineError> {
        let raised = said(id, &self.admitted_host(id).await?.host_key, signed)?;
        let now = self.inner.clock.now();
        let mut tx = match anomaly::may_cut(&raised) {
            true => self.inner.store.write_at_once().await?,
            false => self.inner.store.write().await?,
        };
        let host = platform::admitted(&mut tx, id).await?;
        let heard = store::add_alarm(&mut tx, id, now, &raised).await?;
        if heard == Heard::Again {
            return Ok(raised.sequence);
        }
        let body = json!({ "name": host.name, "alarm": raised });
        self.note_act(&mut tx, "host-alarm", Some(id), &Actor::controller(), body).await?;
        let tenant = self.tenant_here(&mut tx, id, &raised).await?;
        let cut = match &tenant {
            Some(tenant) if heard == Heard::First => {
                self.cut_by_rule(&mut tx, tenant, id, &raised).await?
            }
            Some(_) | None => None,
        };
        let name = Told::name(id, &raised, tenant.map(|tenant| tenant.id));
        let told = store::meta(&mut tx, &name).await?.and_then(|text| Told::parse(&text));
        let (told, untold) = Told::after_one(told, now);
        store::set_meta(&mut tx, &name, &told.text()).await?;
        // Nobody waits to hear that somebody is cut.
        if let Some(untold) = untold.or_else(|| cut.is_some().then_some(0)) {
            let mut draw = Draw::new(self.inner.chance.draw()?, now);
            let (of, provider) = ((id, host.name.as_str()), &self.inner.provider);
            for notice in
                alarm::notices(of, &raised, (untold, cut.is_some()), provider, now, &mut draw)
            {
                store::add_notice(&mut tx, &notice).await?;
            }
        }
        store::commit(tx).await?;
        match cut {
            // Its own notices wake who sends them, and those of the alarm with them.
            Some(followed) => self.after_follow(followed).await,
            None => {
                self.inner.notices_wake.send_modify(|count| *count = count.wrapping_add(1));
                self.drain_or_log().await;
            }
        }
        tracing::error!(
            host = %id,
            name = host.name,
            kind = raised.kind.as_str(),
            subject = ?raised.subject,
            culprit = ?raised.culprit,
            repaired = raised.repaired,
            "ALARM: a host found what should not be: {:?}",
            raised.what
        );
        Ok(raised.sequence)
    }

    /// The tenant that an anomaly is about, if it has something on the host that tells of it.
    async fn tenant_here(
        &self,
        tx: &mut Tx,
        host: HostId,
        raised: &Alarm,
    ) -> Result<Option<Tenant>, EngineError> {
        let Some(id) = raised.tenant.filter(|_| raised.figures.is_some()) else { return Ok(None) };
        let tenant = store::tenant(tx, id).await?;
        Ok(tenant.filter(|tenant| tenant.hosts().contains(&host)))
    }

    /// Cuts the tenant, if a rule of two persons says so.
    async fn cut_by_rule(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        host: HostId,
        raised: &Alarm,
    ) -> Result<Option<Followed>, EngineError> {
        let (site, now) = (&self.inner.thresholds, self.inner.clock.now());
        let Some(reason) = anomaly::answer(tenant, host, raised, site, now) else {
            return Ok(None);
        };
        let event = Event::Cut { kind: CutKind::Emergency, reason };
        match self.follow(tx, tenant, event).await {
            Ok(followed) => {
                tracing::warn!(tenant = %tenant.id, %host, "cut for an anomaly, by a rule");
                Ok(Some(followed))
            }
            Err(EngineError::Refused(refusal)) => {
                tracing::error!(tenant = %tenant.id, %refusal, "a rule could not cut");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A host's alarms, oldest first.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn alarms(
        &self,
        id: HostId,
        page: &Page<u64>,
    ) -> Result<Slice<u64, AlarmRecord>, EngineError> {
        let mut conn = self.inner.store.read().await?;
        store::host(&mut conn, id).await?.ok_or(EngineError::NotFound("host"))?;
        Ok(store::alarms_of(&mut conn, id, page).await?)
    }

    /// Ends an alarm that stands: a person has looked, and says what became of it. The host
    /// does not tell it again while it stays as it is.
    ///
    /// # Errors
    /// [`EngineError::Refused`] unless an operator or security asks, with a reason;
    /// [`EngineError::NotFound`] if no such alarm of the host stands.
    pub async fn end_alarm(
        &self,
        call: impl Into<Call>,
        id: HostId,
        sequence: u64,
        reason: String,
    ) -> Result<AlarmRecord, EngineError> {
        let Call { actor: by, expected: _, key } = call.into();
        need(&by, ENDERS, "ending an alarm")?;
        admission::reason(&reason)?;
        let mut tx = self.inner.store.write().await?;
        if let Some(record) = self.recall(&mut tx, key.as_ref()).await? {
            return Ok(record);
        }
        let host = store::host(&mut tx, id).await?.ok_or(EngineError::NotFound("host"))?;
        let record = store::end_alarm(&mut tx, id, sequence).await?;
        let record = record.ok_or(EngineError::NotFound("standing alarm of this number"))?;
        let body = json!({ "name": host.name, "alarm": record.alarm, "reason": reason });
        self.note_act(&mut tx, "host-alarm-ended", Some(id), &by, body).await?;
        self.keep(&mut tx, key.as_ref(), Some(&record)).await?;
        store::commit(tx).await?;
        self.drain_or_log().await;
        tracing::warn!(host = %id, name = host.name, sequence, by = by.name, "alarm ended");
        Ok(record)
    }
}

/// The alarm in a signed message, if this host's key signed it as this host's.
fn said(id: HostId, key: &[u8; 32], signed: &SignedAlarm) -> Result<Alarm, EngineError> {
    let invalid = |reason: String| {
        tracing::error!(host = %id, reason, "ALARM: an alarm that its host did not sign: look at \
             the host, whose tenure-agent may be in other hands");
        EngineError::Invalid(format!("the alarm is not taken: {reason}"))
    };
    let key = VerifyingKey::from_bytes(key).map_err(|error| invalid(error.to_string()))?;
    let HostAlarm { host, alarm } =
        signed.verify(&key).map_err(|error| invalid(error.to_string()))?;
    if host != id {
        return Err(invalid(format!("it is of host {host}, and came from host {id}")));
    }
    Ok(alarm)
}
