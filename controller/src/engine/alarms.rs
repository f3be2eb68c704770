//! Alarms of hosts: each is kept once, entered among the platform's acts, and told to the
//! provider's contacts, though not more often than they can read ([`crate::core::alarm`]).

use serde_json::json;
use tenure_protocol::{id::HostId, wire::v1::Alarm};

use super::{Engine, EngineError, Page, Slice, platform, row::AlarmRecord};
use crate::{
    core::{
        alarm::{self, Told},
        draw::Draw,
        lifecycle::Actor,
    },
    store,
};

impl Engine {
    /// Takes an alarm in. It is durable when this returns; heard again, it changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Blocked`], [`EngineError::Store`].
    pub async fn alarm(&self, id: HostId, raised: Alarm) -> Result<(), EngineError> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        let host = platform::admitted(&mut tx, id).await?;
        if !store::add_alarm(&mut tx, id, now, &raised).await? {
            return Ok(());
        }
        let body = json!({ "name": host.name, "alarm": raised });
        self.note_act(&mut tx, "host-alarm", Some(id), &Actor::controller(), body).await?;
        let name = Told::name(id, &raised);
        let told = store::meta(&mut tx, &name).await?.and_then(|text| Told::parse(&text));
        let (told, untold) = Told::after_one(told, now);
        store::set_meta(&mut tx, &name, &told.text()).await?;
        if let Some(untold) = untold {
            let mut draw = Draw::new(self.inner.chance.draw()?, now);
            let (of, provider) = ((id, host.name.as_str()), &self.inner.provider);
            for notice in alarm::notices(of, &raised, untold, provider, now, &mut draw) {
                store::add_notice(&mut tx, &notice).await?;
            }
        }
        store::commit(tx).await?;
        self.inner.notices_wake.send_modify(|count| *count = count.wrapping_add(1));
        self.drain_or_log().await;
        tracing::error!(
            host = %id,
            name = host.name,
            kind = raised.kind.as_str(),
            subject = ?raised.subject,
            culprit = ?raised.culprit,
            repaired = raised.repaired,
            "ALARM: a host found that it is not as its agent made it: {:?}",
            raised.what
        );
        Ok(())
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
}
