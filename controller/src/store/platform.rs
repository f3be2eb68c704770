//! The platform's own acts: hosts that join or are blocked, who may come in and who came, what the
//! platform files and puts on record, notices of the calendar that are proposed and put in force.
//! Append-only, in one sequence and chain with the tenants' rows ([`super::append_journal`]), and
//! entered into the ledger like them, as entries about no tenant.
//!
//! A row's salt keeps its names from being guessed by the digest in the ledger; a host's joining
//! has an object that everybody can compute, since hosts' keys are public.

use serde_json::Value;
use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{
    digest::Digest,
    evidence::entry::{Entry, HOST_JOINED},
    id::HostId,
    time::Timestamp,
};

use super::{
    Result, failed, from_json, journal,
    row::PlatformRecord,
    sql::{self, query},
    to_i64, to_json, to_u64,
};
use crate::core::{canonical, lifecycle::Actor};

const TABLE: &str = "platform_acts";

/// An act to be appended.
#[derive(Debug, Clone)]
pub struct NewAct<'a> {
    /// What happened, kebab-case.
    pub kind: &'a str,
    /// The host that it is about.
    pub host: Option<HostId>,
    /// Real clock.
    pub at: Timestamp,
    /// Who.
    pub actor: &'a Actor,
    /// Who, as the ledger may know it.
    pub actor_keyid: Digest,
    /// The act without secrets.
    pub body: Value,
    /// What the ledger entry refers to; the row's own digest if nothing else.
    pub object: Option<Digest>,
    /// Fresh for each row.
    pub salt: [u8; 32],
}

/// Appends an act and returns its number.
///
/// # Errors
/// [`super::StoreError`].
pub async fn append_act(conn: &mut SqliteConnection, new: NewAct<'_>) -> Result<u64> {
    let (seq, previous) = journal::next(conn).await?;
    let chained = serde_json::json!({
        "salt": hex::encode(new.salt),
        "seq": seq, "kind": new.kind, "host": new.host, "at": new.at, "actor": new.actor,
        "body": new.body, "object": new.object, "previous": previous,
    });
    let digest = Digest::of(canonical::text(chained).as_bytes());
    let object = new.object.unwrap_or(digest);
    let entry = Entry {
        v: 1,
        seq,
        tenant: None,
        tenant_seq: 0,
        prev_tenant_event: None,
        kind: new.kind.to_owned(),
        at: new.at,
        actor_keyid: new.actor_keyid,
        object_digest: object,
    };
    let record = PlatformRecord {
        seq,
        kind: new.kind.to_owned(),
        host: new.host,
        at: new.at,
        actor: new.actor.clone(),
        body: new.body,
        object,
        previous,
        digest,
        ledger_index: None,
    };
    query(sql::APPEND_ACT)
        .bind(to_i64(seq))
        .bind(new.kind)
        .bind(new.host.map(|host| host.to_string()))
        .bind(to_json(TABLE, &record)?)
        .bind(digest.to_string())
        .bind(entry.to_bytes())
        .bind(new.salt.as_slice())
        .execute(conn)
        .await
        .map_err(failed("append an act of the platform"))?;
    Ok(seq)
}

/// The newest acts, newest first, up to `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn acts(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<PlatformRecord>> {
    let operation = "read the platform's acts";
    let rows =
        query(sql::ACTS).bind(i64::from(limit)).fetch_all(conn).await.map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let text: String = row.try_get("record").map_err(failed(operation))?;
            let index: Option<i64> = row.try_get("ledger_index").map_err(failed(operation))?;
            let mut record: PlatformRecord = from_json(TABLE, &text)?;
            record.ledger_index = index.map(to_u64);
            Ok(record)
        })
        .collect()
}

/// Place and ledger entry of a host's joining; nothing if it joined before there were any.
///
/// # Errors
/// [`super::StoreError`].
pub async fn joining_of(
    conn: &mut SqliteConnection,
    host: HostId,
) -> Result<Option<(Option<u64>, Vec<u8>)>> {
    let operation = "read a host's joining";
    let row = query(sql::JOINING_OF)
        .bind(host.to_string())
        .bind(HOST_JOINED)
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let index: Option<i64> = row.try_get("ledger_index").map_err(failed(operation))?;
    let entry = row.try_get("entry").map_err(failed(operation))?;
    Ok(Some((index.map(to_u64), entry)))
}
