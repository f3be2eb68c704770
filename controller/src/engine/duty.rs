//! What the duty desk is shown: read whenever somebody looks, from the few tenants whose state says
//! that they have something for it, and from hosts' alarms that stand.

use std::collections::BTreeMap;

use tenure_protocol::{id::HostId, time::Timestamp};

use super::{AccountRecord, Engine, EngineError, TokenRecord};
use crate::{
    core::{
        duty::{self, HostStanding, Now, OnDesk},
        rules::Rules,
    },
    store::{self, LostWatch, Tx},
};

/// Most tenants, alarms, lost watches, hosts without packets, accounts and tokens each, that one
/// answer goes through.
const MOST: u32 = 500;

/// Name of what says, among the settings, that every tenant's place on the desk is written down.
const WRITTEN: &str = "duty_written";

/// What is on the desk.
#[derive(Debug)]
pub struct Desk {
    /// When it was read, real clock.
    pub at: Timestamp,
    /// The tenants' needs, most urgent first.
    pub needs: Vec<OnDesk>,
    /// Accounts that wait for a second person.
    pub accounts: Vec<AccountRecord>,
    /// Tokens that do, those that end first before others.
    pub tokens: Vec<TokenRecord>,
    /// Whether there is more than one answer holds: the least urgent of it.
    pub more: bool,
}

impl Engine {
    /// What needs a person of the provider now, most urgent first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn duty(&self) -> Result<Desk, EngineError> {
        let real = self.inner.clock.now();
        let now = Now { legal: self.inner.clock.legal(real), real };
        let mut conn = self.inner.store.read().await?;
        let mut tenants = store::on_duty(&mut conn, now.legal, MOST + 1).await?;
        let mut accounts = store::pending_accounts(&mut conn, MOST + 1).await?;
        let mut tokens = store::pending_tokens(&mut conn, real, MOST + 1).await?;
        let mut alarms = store::standing_alarms(&mut conn, MOST + 1).await?;
        let mut lost = store::lost_watches(&mut conn, MOST + 1).await?;
        let late = real.plus_ms(-duty::STANDING_ANSWER_MS);
        let mut without = store::without_standing(&mut conn, late, MOST + 1).await?;
        let hosts = store::hosts(&mut conn).await?;
        drop(conn);
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        let of_hosts = [alarms.len(), lost.len(), without.len()];
        let of_people = [tenants.len(), accounts.len(), tokens.len()];
        let more = of_hosts.iter().chain(&of_people).any(|count| *count > most);
        tenants.truncate(most);
        alarms.truncate(most);
        lost.truncate(most);
        without.truncate(most);
        accounts.truncate(most);
        tokens.truncate(most);
        let hosts: BTreeMap<HostId, HostStanding> = hosts
            .into_iter()
            .map(|host| {
                let up = host.up && host.block().is_none();
                (host.id, HostStanding { name: host.name, up })
            })
            .collect();
        let of = |tenant| duty::needs(tenant, &hosts, &self.inner.rules, now);
        let mut needs: Vec<OnDesk> = tenants.iter().flat_map(of).collect();
        let name = |host: HostId| hosts.get(&host).map_or_else(|| host.to_string(), named);
        needs.extend(lost.into_iter().filter_map(|LostWatch { tenant, host, words }| {
            let tenant = tenants.iter().find(|known| known.id == tenant)?;
            duty::lost(tenant, &name(host), words)
        }));
        needs.extend(alarms.iter().map(|(host, record)| duty::alarm(&name(*host), &record.alarm)));
        let without = without.iter();
        needs.extend(without.map(|(host, tenants)| duty::without_standing(&name(*host), *tenants)));
        needs.sort_by_key(OnDesk::urgency);
        Ok(Desk { at: real, needs, accounts, tokens, more })
    }
}

fn named(host: &HostStanding) -> String {
    host.name.clone()
}

/// Writes every tenant's place on the desk down, once: those from before it was kept have none.
pub(super) async fn write_down(tx: &mut Tx, rules: &Rules) -> Result<(), EngineError> {
    if store::meta(tx, WRITTEN).await?.is_some() {
        return Ok(());
    }
    let mut last = None;
    loop {
        let ids = store::tenant_ids(tx, last).await?;
        for id in &ids {
            if let Some(tenant) = store::tenant(tx, *id).await? {
                store::set_duty(tx, *id, duty::since(&tenant, rules)).await?;
            }
        }
        last = ids.last().copied();
        if last.is_none() {
            break;
        }
    }
    Ok(store::set_meta(tx, WRITTEN, "1").await?)
}
