//! Standing packets: each host of a tenant keeps one for the cut that a person may order there
//! while the controller is gone. Here they are given out, replaced, called off, and used up.
//!
//! ```text
//! a tenant's hosts, contacts or system change, a cut is adopted, each day ─► what each host should
//!   have ─► none there: a new one │ another content, or old: called off, and a new one │ else left
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

use tenure_protocol::{
    digest::Digest,
    id::{CutId, HostId, NoticeId, TenantId},
    time::Timestamp,
    wire::watch::{DisarmReason, SignedPacket},
};

use super::{Engine, EngineError, HEAR_MS};
use crate::{
    core::{
        draw::Draw,
        lifecycle::{Context, Event},
        notice::Notice,
        tenant::{OrderFate, Tenant},
        watch::{self, STANDING_RENEWED_MS, Standing},
    },
    store::{self, Tx, WatchRow},
};

/// A cut that a host says a person ordered there.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfHost {
    /// Which host.
    pub(super) host: HostId,
    /// Its id.
    pub(super) cut: CutId,
    /// When it committed it.
    pub(super) since: Timestamp,
}

/// Whether an event may change what hosts should keep for a tenant.
pub(super) fn concerns(before: &Tenant, event: &Event, after: &Tenant) -> bool {
    matches!(event, Event::CutByHost { .. })
        || before.application != after.application
        || before.phase.holds_resources() != after.phase.holds_resources()
        || before.hosts() != after.hosts()
}

impl Engine {
    /// Gives each host of a tenant the standing packet that it should have. Gives the hosts that
    /// have something to be told.
    pub(super) async fn stand(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        context: &Context<'_>,
    ) -> Result<Vec<HostId>, EngineError> {
        let (letters, watching) = (&self.inner.letters, &self.inner.watching);
        let made_of = watch::standing_digest(letters, tenant, watching, context.now);
        let wanted = made_of.filter(|_| tenant.phase.holds_resources());
        let mut without = wanted.map_or_else(BTreeSet::new, |_| tenant.hosts());
        let mut told = Vec::new();
        for row in store::standing_watches(tx, tenant.id).await? {
            let old = context.real_now.ms_since(row.ordered_at) >= STANDING_RENEWED_MS;
            if row.made_of == wanted && !old && without.remove(&row.host) {
                continue;
            }
            told.extend(store::disarm_watches(tx, row.cut, DisarmReason::Void).await?);
        }
        let Some(made_of) = wanted else { return Ok(told) };
        for host in without {
            let seed = format!("tenure/standing\0{host}\0{}", Digest::of(&context.seed));
            let mut draw = Draw::new(Digest::of(seed.as_bytes()).0, context.real_now);
            let new = (CutId::from_uuid(draw.uuid()), host, tenant.id);
            store::add_standing_watch(tx, new, context.real_now, made_of).await?;
            told.push(host);
        }
        Ok(told)
    }

    /// The same for every tenant: the site's routes may be others, and packets grow old. What fails
    /// for one of them is logged.
    pub(super) async fn stand_all(&self) -> Result<(), EngineError> {
        let mut last = None;
        loop {
            let ids = store::tenant_ids(&mut *self.inner.store.read().await?, last).await?;
            for id in &ids {
                if let Err(error) = self.stand_one(*id).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(tenant = %id, error, "standing packets are out of date");
                }
            }
            last = ids.last().copied();
            if last.is_none() {
                return Ok(());
            }
        }
    }

    async fn stand_one(&self, id: TenantId) -> Result<(), EngineError> {
        let mut conn = self.inner.store.read().await?;
        let Some(tenant) = store::tenant(&mut conn, id).await? else { return Ok(()) };
        let any = !store::standing_watches(&mut conn, id).await?.is_empty();
        drop(conn);
        if !any && !tenant.phase.holds_resources() {
            return Ok(());
        }
        let mut tx = self.inner.store.write().await?;
        let tenant = store::tenant(&mut tx, id).await?.ok_or(EngineError::NotFound("tenant"))?;
        let (fleet, filed) = (self.catalogue(), BTreeSet::new());
        let calendar = self.calendar_in(&mut tx).await?;
        let context = self.context(&fleet, &calendar, &filed)?;
        let told = self.stand(&mut tx, &tenant, &context).await?;
        if told.is_empty() {
            return Ok(());
        }
        store::commit(tx).await?;
        self.wake_hosts(&told);
        Ok(())
    }

    pub(super) fn wake_hosts(&self, hosts: &[HostId]) {
        for host in hosts {
            self.host_wake(*host, |wake| wake.send_modify(|count| *count = count.wrapping_add(1)));
        }
    }

    /// The host's standing packet is used: it watches over that cut, or over the one that it counts
    /// into.
    pub(super) async fn use_up(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        OfHost { host, cut, since }: OfHost,
    ) -> Result<(), EngineError> {
        let row = store::watch(tx, cut, host).await?;
        if row.is_none_or(|row| row.standing != Standing::Waits || row.tenant != tenant.id) {
            return Ok(());
        }
        let own = tenant.cuts.iter().find(|known| known.id == cut).or(tenant.last_cut());
        let Some(own) = own else { return Ok(()) };
        let is_told = own.notified_at.is_some();
        Ok(store::adopt_watch(tx, (cut, host), own.id, since, is_told).await?)
    }

    /// Whether a host that cut then, by this standing packet, may have told the customer by now; if
    /// so, its deadline stands over until the host is heard: once for each packet.
    pub(super) fn may_have_told(&self, row: &WatchRow, since: Timestamp) -> bool {
        if row.standing != Standing::Waits {
            return row.standing == Standing::Used;
        }
        let now = self.inner.clock.now();
        let after = i64::try_from(self.inner.watching.fallback_after_ms).unwrap_or(i64::MAX);
        let told = now.ms_since(since) >= after;
        if told {
            self.unheard().insert(row.tenant, now.plus_ms(HEAR_MS));
        }
        told
    }

    /// Whether a tenant's deadlines stand over: hosts may have told its customer in time while the
    /// controller was away, and a breach that was declared is never taken back. Not if it has an
    /// order to be sent again.
    pub(super) async fn waits_for_hosts(&self, id: TenantId) -> Result<bool, EngineError> {
        let (now, until) = (self.inner.clock.now(), self.unheard().get(&id).copied());
        if until.is_none_or(|until| now >= until) {
            return Ok(false);
        }
        let tenant = self.tenant(id).await?;
        let told = tenant.last_cut().is_none_or(|cut| cut.notified_at.is_some());
        let again = tenant
            .orders
            .iter()
            .any(|order| matches!(order.state, OrderFate::Failed { again_at: Some(_), .. }));
        Ok(!told && !again)
    }

    fn unheard(&self) -> MutexGuard<'_, BTreeMap<TenantId, Timestamp>> {
        self.inner.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A standing packet, signed.
    pub(super) fn standing_word(
        &self,
        tenant: &Tenant,
        row: &WatchRow,
    ) -> Result<SignedPacket, EngineError> {
        let now = self.inner.clock.now();
        let times = (self.inner.clock.legal(now), now);
        let notices =
            self.opened_notices(watch::standing(&self.inner.letters, tenant, row.cut, times));
        let what = (tenant, row.cut, row.host);
        let packet = watch::standing_packet(what, &notices, &self.inner.watching, now);
        SignedPacket::sign(&packet, &self.inner.keys.order)
            .map_err(|error| EngineError::Invalid(error.to_string()))
    }

    /// The notices with their channels' secrets. The host carries the others all the same if one
    /// cannot be opened.
    pub(super) fn opened_notices(&self, notices: Vec<Notice>) -> Vec<Notice> {
        let open = |mut notice: Notice| match self.opened_channel(notice.channel.clone()) {
            Ok(channel) => {
                notice.channel = channel;
                Some(notice)
            }
            Err(error) => {
                let (id, error) = (notice.id, &error as &dyn std::error::Error);
                tracing::error!(notice = %id, error, "a notice cannot be given to a host");
                None
            }
        };
        notices.into_iter().filter_map(open).collect()
    }
}

/// Which of a cut's notices a host means by the id that its own packet has for it: a host whose cut
/// counts into another one has other ids for the same addresses.
pub(super) fn meant(row: &WatchRow, notices: &[Notice], id: NoticeId) -> Option<Notice> {
    let mut own = notices.to_vec();
    if row.counts != row.cut {
        watch::reserve(row.cut, &mut own);
    }
    let place = own.iter().position(|notice| notice.id == id)?;
    notices.get(place).cloned()
}

/// What a host is to be told, in its order: standing packets that are to be kept come last, and a
/// session sends one of them at a time, so that an order never waits behind many.
pub(super) fn in_turn(mut rows: Vec<WatchRow>) -> Vec<WatchRow> {
    rows.sort_by_key(WatchRow::waits_its_turn);
    rows
}
