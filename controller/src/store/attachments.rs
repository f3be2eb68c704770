//! Attachments: what is known of each file. The bytes are kept elsewhere, by their digest.

use std::collections::BTreeSet;

use sqlx::{Row as _, SqliteConnection};
use tenure_protocol::{digest::Digest, id::TenantId};

use super::{
    Result, failed, from_json,
    page::{Page, Slice, numbered},
    sql::{self, query},
    to_i64, to_json, to_u64,
};
use crate::core::{
    attachment::{Attachment, Held, owner_name},
    lifecycle::Document,
};

const TABLE: &str = "attachments";

/// One attachment of a tenant, or of the platform.
///
/// # Errors
/// [`super::StoreError`].
pub async fn attachment(
    conn: &mut SqliteConnection,
    owner: Option<TenantId>,
    sha256: Digest,
) -> Result<Option<Attachment>> {
    let row = query(sql::ATTACHMENT)
        .bind(owner_name(owner))
        .bind(sha256.to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("read an attachment"))?;
    let Some(row) = row else { return Ok(None) };
    let record: String = row.try_get("record").map_err(failed("read an attachment"))?;
    from_json(TABLE, &record).map(Some)
}

/// Attachments of a tenant, or of the platform, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn attachments(
    conn: &mut SqliteConnection,
    owner: Option<TenantId>,
    page: &Page<u64>,
) -> Result<Slice<u64, Attachment>> {
    numbered(conn, sql::ATTACHMENTS, owner_name(owner), page, "list attachments", |row| {
        let record: String = row.try_get("record").map_err(failed("list attachments"))?;
        from_json(TABLE, &record)
    })
    .await
}

/// The digests of those documents that are attachments of a tenant, or of the platform.
///
/// # Errors
/// [`super::StoreError`].
pub async fn filed(
    conn: &mut SqliteConnection,
    owner: Option<TenantId>,
    documents: &[Document],
) -> Result<BTreeSet<Digest>> {
    let mut found = BTreeSet::new();
    for Document { sha256, .. } in documents {
        if attachment(conn, owner, *sha256).await?.is_some() {
            found.insert(*sha256);
        }
    }
    Ok(found)
}

/// How much a tenant, or the platform, has filed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn held(conn: &mut SqliteConnection, owner: Option<TenantId>) -> Result<Held> {
    count(conn, sql::HELD, &owner_name(owner)).await
}

/// How much a customer has filed, for all its tenants together.
///
/// # Errors
/// [`super::StoreError`].
pub async fn held_by(conn: &mut SqliteConnection, customer: &str) -> Result<Held> {
    count(conn, sql::HELD_BY, customer).await
}

async fn count(conn: &mut SqliteConnection, of: sql::Statement, whose: &str) -> Result<Held> {
    let operation = "count attachments";
    let row = query(of).bind(whose).fetch_one(conn).await.map_err(failed(operation))?;
    let files: i64 = row.try_get("files").map_err(failed(operation))?;
    let bytes: i64 = row.try_get("bytes").map_err(failed(operation))?;
    Ok(Held { files: to_u64(files), bytes: to_u64(bytes) })
}

/// Keeps what is known of a file, entered as journal row `seq`; it counts for this customer, if one
/// handed it in.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_attachment(
    conn: &mut SqliteConnection,
    owner: Option<TenantId>,
    (seq, customer): (u64, Option<&str>),
    new: &Attachment,
) -> Result<()> {
    query(sql::ADD_ATTACHMENT)
        .bind(owner_name(owner))
        .bind(new.sha256.to_string())
        .bind(to_i64(seq))
        .bind(to_i64(new.bytes))
        .bind(to_json(TABLE, new)?)
        .bind(customer.unwrap_or_default())
        .execute(conn)
        .await
        .map_err(failed("file an attachment"))?;
    Ok(())
}
