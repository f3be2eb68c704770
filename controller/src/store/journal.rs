//! The journal and the evidence: append-only. Each row is chained to the row before by its digest,
//! and to the tenant's row before by its ledger entry; the ledger takes the rows in their order, so
//! that row `seq` is entry `seq - 1`.
//!
//! A row names persons, and its digest stands in the ledger, which others read. So each row has a
//! salt of its own: without it nobody can try out what the row may say. It is kept beside the row,
//! to check the row by, and is no part of any answer.

use serde_json::Value;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    digest::Digest,
    evidence::entry::Entry,
    id::{HostId, OrderId, TenantId},
    time::Timestamp,
};

use super::{
    Result, StoreError, failed, from_json, parse,
    record::{EvidenceRecord, JournalRecord},
    to_i64, to_json, to_u64,
};
use crate::core::{lifecycle::Actor, tenant::Phase};

const TABLE: &str = "journal";

/// A row to be appended.
#[derive(Debug, Clone)]
pub struct NewEntry<'a> {
    /// About whom.
    pub tenant: TenantId,
    /// An event's name, or an attestation's kind.
    pub kind: &'a str,
    /// Legal time.
    pub at: Timestamp,
    /// Who.
    pub actor: &'a Actor,
    /// Who, as the ledger may know it.
    pub actor_keyid: Digest,
    /// The event without secrets.
    pub body: Value,
    /// The phase after it.
    pub phase: Phase,
    /// What the ledger entry refers to; the row's own digest if nothing else.
    pub object: Option<Digest>,
}

/// An envelope to be kept.
#[derive(Debug, Clone)]
pub struct NewEvidence {
    /// Kind of its predicate.
    pub kind: &'static str,
    /// The host that signed it; nothing if the controller did.
    pub host: Option<HostId>,
    /// Name of the key that signed it.
    pub keyid: Digest,
    /// The order that it is about.
    pub order: Option<OrderId>,
    /// The envelope.
    pub envelope: Vec<u8>,
}

/// A row that the ledger does not have yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub seq: u64,
    /// Its ledger entry.
    pub entry: Vec<u8>,
}

/// Appends a row and returns its number.
///
/// # Errors
/// [`super::StoreError`].
pub async fn append_journal(conn: &mut SqliteConnection, new: NewEntry<'_>) -> Result<u64> {
    let operation = "append to the journal";
    let last = sqlx::query("SELECT seq, digest FROM journal ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let (seq, previous) = match last {
        Some(row) => {
            let seq: i64 = row.try_get("seq").map_err(failed(operation))?;
            let digest: String = row.try_get("digest").map_err(failed(operation))?;
            (to_u64(seq) + 1, parse(TABLE, &digest)?)
        }
        None => (1, Digest([0; 32])),
    };
    let (tenant_seq, prev_tenant_event) = match last_entry(conn, new.tenant).await? {
        Some((tenant_seq, entry)) => (tenant_seq + 1, Some(Digest::of(&entry))),
        None => (1, None),
    };
    let mut salt = [0_u8; 32];
    getrandom::fill(&mut salt).map_err(StoreError::Random)?;
    let mut chained = serde_json::json!({
        "salt": hex::encode(salt),
        "seq": seq, "tenant": new.tenant, "tenant_seq": tenant_seq, "kind": new.kind, "at": new.at,
        "actor": new.actor, "body": new.body, "phase": new.phase, "object": new.object,
        "previous": previous,
    });
    // The digest is of the members in the order of their names, whatever order this build keeps.
    chained.sort_all_objects();
    let digest = Digest::of(chained.to_string().as_bytes());
    let object = new.object.unwrap_or(digest);
    let entry = Entry {
        v: 1,
        seq,
        tenant: Some(new.tenant),
        tenant_seq,
        prev_tenant_event,
        kind: new.kind.to_owned(),
        at: new.at,
        actor_keyid: new.actor_keyid,
        object_digest: object,
    };
    let record = JournalRecord {
        seq,
        tenant: new.tenant,
        tenant_seq,
        kind: new.kind.to_owned(),
        at: new.at,
        actor: new.actor.clone(),
        body: new.body,
        phase: new.phase,
        object,
        previous,
        digest,
        ledger_index: None,
    };
    sqlx::query(
        "INSERT INTO journal (seq, tenant, tenant_seq, record, digest, entry, salt) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(to_i64(seq))
    .bind(new.tenant.to_string())
    .bind(to_i64(tenant_seq))
    .bind(to_json(TABLE, &record)?)
    .bind(digest.to_string())
    .bind(entry.to_bytes())
    .bind(salt.as_slice())
    .execute(conn)
    .await
    .map_err(failed(operation))?;
    Ok(seq)
}

/// Number and ledger entry of a tenant's last row.
///
/// # Errors
/// [`super::StoreError`].
pub async fn last_entry(
    conn: &mut SqliteConnection,
    tenant: TenantId,
) -> Result<Option<(u64, Vec<u8>)>> {
    let operation = "read a tenant's last entry";
    let row = sqlx::query(
        "SELECT tenant_seq, entry FROM journal WHERE tenant = $1 ORDER BY tenant_seq DESC LIMIT 1",
    )
    .bind(tenant.to_string())
    .fetch_optional(conn)
    .await
    .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let tenant_seq: i64 = row.try_get("tenant_seq").map_err(failed(operation))?;
    let entry = row.try_get("entry").map_err(failed(operation))?;
    Ok(Some((to_u64(tenant_seq), entry)))
}

/// A tenant's journal, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn journal_of(
    conn: &mut SqliteConnection,
    tenant: TenantId,
) -> Result<Vec<JournalRecord>> {
    let operation = "read the journal";
    let rows = sqlx::query(
        "SELECT record, ledger_index FROM journal WHERE tenant = $1 ORDER BY tenant_seq",
    )
    .bind(tenant.to_string())
    .fetch_all(conn)
    .await
    .map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let text: String = row.try_get("record").map_err(failed(operation))?;
            let index: Option<i64> = row.try_get("ledger_index").map_err(failed(operation))?;
            let mut record: JournalRecord = from_json(TABLE, &text)?;
            record.ledger_index = index.map(to_u64);
            Ok(record)
        })
        .collect()
}

/// A tenant's ledger entries with their places, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn entries_of(
    conn: &mut SqliteConnection,
    tenant: TenantId,
) -> Result<Vec<(Option<u64>, Vec<u8>)>> {
    let operation = "read a tenant's entries";
    let rows = sqlx::query(
        "SELECT entry, ledger_index FROM journal WHERE tenant = $1 ORDER BY tenant_seq",
    )
    .bind(tenant.to_string())
    .fetch_all(conn)
    .await
    .map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let index: Option<i64> = row.try_get("ledger_index").map_err(failed(operation))?;
            let entry = row.try_get("entry").map_err(failed(operation))?;
            Ok((index.map(to_u64), entry))
        })
        .collect()
}

/// The rows that the ledger does not have yet, in order, up to `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn pending(conn: &mut SqliteConnection, limit: usize) -> Result<Vec<Pending>> {
    let operation = "read what the ledger lacks";
    let rows = sqlx::query(
        "SELECT seq, entry FROM journal WHERE ledger_index IS NULL ORDER BY seq LIMIT $1",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await
    .map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let seq: i64 = row.try_get("seq").map_err(failed(operation))?;
            let entry = row.try_get("entry").map_err(failed(operation))?;
            Ok(Pending { seq: to_u64(seq), entry })
        })
        .collect()
}

/// Keeps a row's place in the ledger.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set_ledger_index(conn: &mut SqliteConnection, seq: u64, index: u64) -> Result<()> {
    sqlx::query("UPDATE journal SET ledger_index = $1 WHERE seq = $2 AND ledger_index IS NULL")
        .bind(to_i64(index))
        .bind(to_i64(seq))
        .execute(conn)
        .await
        .map_err(failed("keep a place in the ledger"))?;
    Ok(())
}

/// Keeps an envelope, entered as journal row `seq`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_evidence(
    conn: &mut SqliteConnection,
    tenant: TenantId,
    seq: u64,
    at: Timestamp,
    new: &NewEvidence,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO evidence (digest, seq, tenant, host, order_id, kind, at, envelope) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(Digest::of(&new.envelope).to_string())
    .bind(to_i64(seq))
    .bind(tenant.to_string())
    .bind(new.host.map(|host| host.to_string()))
    .bind(new.order.map(|order| order.to_string()))
    .bind(new.kind)
    .bind(at.unix_ms())
    .bind(&new.envelope)
    .execute(conn)
    .await
    .map_err(failed("keep an envelope"))?;
    Ok(())
}

/// A tenant's envelopes, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn evidence_of(
    conn: &mut SqliteConnection,
    tenant: TenantId,
) -> Result<Vec<EvidenceRecord>> {
    let rows = sqlx::query(
        "SELECT e.tenant, e.digest, e.kind, e.host, e.order_id, e.at, e.envelope, j.ledger_index \
         FROM evidence e JOIN journal j ON j.seq = e.seq WHERE e.tenant = $1 ORDER BY e.seq",
    )
    .bind(tenant.to_string())
    .fetch_all(conn)
    .await
    .map_err(failed("list evidence"))?;
    rows.iter().map(read_evidence).collect()
}

/// The envelope with this digest, and the ledger entry that it was entered with.
///
/// # Errors
/// [`super::StoreError`].
pub async fn evidence(
    conn: &mut SqliteConnection,
    digest: Digest,
) -> Result<Option<(EvidenceRecord, Vec<u8>)>> {
    let operation = "read an envelope";
    let row = sqlx::query(
        "SELECT e.tenant, e.digest, e.kind, e.host, e.order_id, e.at, e.envelope, j.ledger_index, \
         j.entry FROM evidence e JOIN journal j ON j.seq = e.seq WHERE e.digest = $1",
    )
    .bind(digest.to_string())
    .fetch_optional(conn)
    .await
    .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let entry = row.try_get("entry").map_err(failed(operation))?;
    Ok(Some((read_evidence(&row)?, entry)))
}

fn read_evidence(row: &SqliteRow) -> Result<EvidenceRecord> {
    let table = "evidence";
    let text = |column: &'static str| -> Result<String> {
        row.try_get(column).map_err(failed("read an envelope"))
    };
    let maybe = |column: &'static str| -> Result<Option<String>> {
        row.try_get(column).map_err(failed("read an envelope"))
    };
    let at: i64 = row.try_get("at").map_err(failed("read an envelope"))?;
    let index: Option<i64> = row.try_get("ledger_index").map_err(failed("read an envelope"))?;
    Ok(EvidenceRecord {
        tenant: parse(table, &text("tenant")?)?,
        digest: parse(table, &text("digest")?)?,
        kind: text("kind")?,
        host: maybe("host")?.map(|host| parse(table, &host)).transpose()?,
        order: maybe("order_id")?.map(|order| parse(table, &order)).transpose()?,
        at: Timestamp::from_unix_ms(at),
        envelope: row.try_get("envelope").map_err(failed("read an envelope"))?,
        ledger_index: index.map(to_u64),
    })
}

/// A closed tenant's exit bundle, if it was made.
///
/// # Errors
/// [`super::StoreError`].
pub async fn bundle(conn: &mut SqliteConnection, tenant: TenantId) -> Result<Option<Vec<u8>>> {
    sqlx::query("SELECT tar FROM bundles WHERE tenant = $1")
        .bind(tenant.to_string())
        .fetch_optional(conn)
        .await
        .and_then(|row| row.map(|row| row.try_get("tar")).transpose())
        .map_err(failed("read an exit bundle"))
}

/// Keeps a closed tenant's exit bundle.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_bundle(conn: &mut SqliteConnection, tenant: TenantId, tar: &[u8]) -> Result<()> {
    sqlx::query("INSERT INTO bundles (tenant, tar) VALUES ($1, $2)")
        .bind(tenant.to_string())
        .bind(tar)
        .execute(conn)
        .await
        .map_err(failed("keep an exit bundle"))?;
    Ok(())
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
