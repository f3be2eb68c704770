//! The journal and the evidence: append-only. Each row is chained to the row before by its digest,
//! and to the tenant's row before by its ledger entry; the ledger takes the rows in their order, so
//! that row `seq` is entry `seq - 1`. Rows about the platform ([`super::platform`]) stand in a
//! table of their own, and in the same sequence and chain.
//!
//! Of a row that is not for the provider's eyes, a draft's, the ledger gets the withheld form of
//! its entry alone ([`Entry::withheld`]): everybody of the provider reads the ledger. The entry
//! itself is kept here, and goes into the tenant's chain and its exit bundle.
//!
//! A row names persons, and its digest stands in the ledger, which others read. So each row has a
//! salt of its own: without it nobody can try out what the row may say. It is kept beside the row,
//! to check the row by, and is no part of any answer.

use serde_json::Value;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use tenure_protocol::{
    digest::Digest,
    evidence::{entry::Entry, predicate::Kind},
    id::{HostId, OrderId, TenantId},
    time::Timestamp,
};

use super::{
    Page, Result, Slice, StoreError, failed, from_json,
    page::numbered,
    parse,
    row::{EvidenceRecord, JournalRecord},
    sql::{self, query},
    to_i64, to_json, to_u64,
};
use crate::core::{canonical, lifecycle::Actor, tenant::Phase};

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
    /// Whether it is also for the provider's eyes: no draft's is.
    pub shown: bool,
    /// What the ledger entry refers to; the row's own digest if nothing else.
    pub object: Option<Digest>,
    /// Fresh for each row.
    pub salt: [u8; 32],
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
    /// Its ledger entry, as it stands in the ledger.
    pub entry: Vec<u8>,
}

/// Appends a row and returns its number.
///
/// # Errors
/// [`super::StoreError`].
pub async fn append_journal(conn: &mut SqliteConnection, new: NewEntry<'_>) -> Result<u64> {
    let operation = "append to the journal";
    let (seq, previous) = next(conn).await?;
    let (tenant_seq, prev_tenant_event) = match last_entry(conn, new.tenant).await? {
        Some((tenant_seq, entry)) => (tenant_seq + 1, Some(Digest::of(&entry))),
        None => (1, None),
    };
    let chained = serde_json::json!({
        "salt": hex::encode(new.salt),
        "seq": seq, "tenant": new.tenant, "tenant_seq": tenant_seq, "kind": new.kind, "at": new.at,
        "actor": new.actor, "body": new.body, "phase": new.phase, "object": new.object,
        "previous": previous,
    });
    let digest = Digest::of(canonical::text(chained).as_bytes());
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
    query(sql::APPEND_JOURNAL)
        .bind(to_i64(seq))
        .bind(new.tenant.to_string())
        .bind(to_i64(tenant_seq))
        .bind(to_json(TABLE, &record)?)
        .bind(digest.to_string())
        .bind(entry.to_bytes())
        .bind(new.salt.as_slice())
        .bind(i64::from(new.shown))
        .execute(conn)
        .await
        .map_err(failed(operation))?;
    Ok(seq)
}

/// The number of the next row, be it a tenant's or the platform's, and the digest of the last one.
///
/// # Errors
/// [`super::StoreError`].
pub(super) async fn next(conn: &mut SqliteConnection) -> Result<(u64, Digest)> {
    let operation = "read the journal's end";
    let last = query(sql::LAST_ROW).fetch_optional(conn).await.map_err(failed(operation))?;
    let Some(row) = last else { return Ok((1, Digest([0; 32]))) };
    let seq: i64 = row.try_get("seq").map_err(failed(operation))?;
    let digest: String = row.try_get("digest").map_err(failed(operation))?;
    Ok((to_u64(seq) + 1, parse(TABLE, &digest)?))
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
    let row = query(sql::LAST_ENTRY)
        .bind(tenant.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let tenant_seq: i64 = row.try_get("tenant_seq").map_err(failed(operation))?;
    let entry = row.try_get("entry").map_err(failed(operation))?;
    Ok(Some((to_u64(tenant_seq), entry)))
}

/// A tenant's journal, oldest first, by the tenant's own numbers.
///
/// # Errors
/// [`super::StoreError`].
pub async fn journal_of(
    conn: &mut SqliteConnection,
    tenant: TenantId,
    page: &Page<u64>,
) -> Result<Slice<u64, JournalRecord>> {
    let rows = query(sql::JOURNAL_OF)
        .bind(tenant.to_string())
        .bind(page.after_number())
        .bind(page.rows())
        .fetch_all(conn)
        .await
        .map_err(failed("read the journal"))?;
    page.slice(&rows, |row| read_record(row).map(|record| (record.tenant_seq, record)))
}

/// The whole journal, oldest first, by its numbers: what is for the provider's eyes, or all of one
/// customer's tenants. Numbers are
/// given under the lock that writers hold until they commit, so that no row appears before one that
/// was read already.
///
/// # Errors
/// [`super::StoreError`].
pub async fn journal_after(
    conn: &mut SqliteConnection,
    customer: Option<&str>,
    page: &Page<u64>,
) -> Result<Slice<u64, JournalRecord>> {
    let rows = match customer {
        Some(customer) => {
            query(sql::CUSTOMERS_JOURNAL)
                .bind(customer)
                .bind(page.after_number())
                .bind(page.rows())
                .fetch_all(conn)
                .await
        }
        None => {
            query(sql::SHOWN_JOURNAL)
                .bind(page.after_number())
                .bind(page.rows())
                .fetch_all(conn)
                .await
        }
    };
    let rows = rows.map_err(failed("follow the journal"))?;
    page.slice(&rows, |row| read_record(row).map(|record| (record.seq, record)))
}

/// Number of the journal's last row; 0 if it is empty.
///
/// # Errors
/// [`super::StoreError`].
pub async fn journal_end(conn: &mut SqliteConnection) -> Result<u64> {
    let operation = "read the journal's end";
    let seq: i64 = query(sql::JOURNAL_END)
        .fetch_one(conn)
        .await
        .and_then(|row| row.try_get("seq"))
        .map_err(failed(operation))?;
    Ok(to_u64(seq))
}

fn read_record(row: &SqliteRow) -> Result<JournalRecord> {
    let operation = "read the journal";
    let text: String = row.try_get("record").map_err(failed(operation))?;
    let index: Option<i64> = row.try_get("ledger_index").map_err(failed(operation))?;
    let mut record: JournalRecord = from_json(TABLE, &text)?;
    record.ledger_index = index.map(to_u64);
    Ok(record)
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
    let rows = query(sql::ENTRIES_OF)
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

/// The rows that the ledger does not have yet, in order, up to `limit`. Places are kept in the
/// order of the rows, so that these are the rows after the last place, however many there are.
///
/// # Errors
/// [`super::StoreError`].
pub async fn pending(conn: &mut SqliteConnection, limit: usize) -> Result<Vec<Pending>> {
    let operation = "read what the ledger lacks";
    let last: Option<i64> = query(sql::LEDGER_END)
        .fetch_optional(&mut *conn)
        .await
        .and_then(|row| row.map(|row| row.try_get("ledger_index")).transpose())
        .map_err(failed(operation))?;
    let rows = query(sql::PENDING)
        .bind(last.map_or(0, |index| index + 1))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await
        .map_err(failed(operation))?;
    rows.iter()
        .map(|row| {
            let seq: i64 = row.try_get("seq").map_err(failed(operation))?;
            let entry: Vec<u8> = row.try_get("entry").map_err(failed(operation))?;
            let shown: i64 = row.try_get("shown").map_err(failed(operation))?;
            let entry = if shown == 0 { withheld(&entry)? } else { entry };
            Ok(Pending { seq: to_u64(seq), entry })
        })
        .collect()
}

fn withheld(entry: &[u8]) -> Result<Vec<u8>> {
    let entry = Entry::from_bytes(entry)
        .map_err(|error| StoreError::Row { table: TABLE, reason: error.to_string() })?;
    Ok(entry.withheld().to_bytes())
}

/// Keeps the places in the ledger of rows that came there together: row `seq` is entry `seq - 1`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set_ledger_indices(
    conn: &mut SqliteConnection,
    rows: std::ops::RangeInclusive<u64>,
) -> Result<()> {
    // Each row is in one of the two.
    for statement in [sql::SET_LEDGER_INDICES, sql::SET_ACT_LEDGER_INDICES] {
        query(statement)
            .bind(to_i64(*rows.start()))
            .bind(to_i64(*rows.end()))
            .execute(&mut *conn)
            .await
            .map_err(failed("keep places in the ledger"))?;
    }
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
    query(sql::ADD_EVIDENCE)
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

/// A tenant's envelopes, oldest first, by their journal rows' numbers.
///
/// # Errors
/// [`super::StoreError`].
pub async fn evidence_of(
    conn: &mut SqliteConnection,
    tenant: TenantId,
    page: &Page<u64>,
) -> Result<Slice<u64, EvidenceRecord>> {
    numbered(conn, sql::EVIDENCE_OF, tenant.to_string(), page, "list evidence", read_evidence).await
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
    let row = query(sql::EVIDENCE)
        .bind(digest.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let entry = row.try_get("entry").map_err(failed(operation))?;
    Ok(Some((read_evidence(&row)?, entry)))
}

/// Digest of the intent that an order has, if it has one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn intent_of(conn: &mut SqliteConnection, order: OrderId) -> Result<Option<Digest>> {
    let operation = "read an order's intent";
    let row = query(sql::INTENT_OF)
        .bind(order.to_string())
        .bind(Kind::WipeIntent.name())
        .fetch_optional(conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let digest: String = row.try_get("digest").map_err(failed(operation))?;
    parse("evidence", &digest).map(Some)
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
    query(sql::BUNDLE)
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
    query(sql::ADD_BUNDLE)
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
