//! Which account an identity is linked to: where to look. What counts is the account's own record.

use sqlx::{Row as _, SqliteConnection};

use super::{
    AccountRecord, Result, account, failed,
    sql::{self, query},
};
use crate::core::identity::Identity;

/// The account that an identity opens, if both say so.
///
/// # Errors
/// [`super::StoreError`].
pub async fn account_of(
    conn: &mut SqliteConnection,
    identity: &Identity,
) -> Result<Option<AccountRecord>> {
    let operation = "look for an identity";
    let row = query(sql::IDENTITY)
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed(operation))?;
    let Some(row) = row else { return Ok(None) };
    let name: String = row.try_get("account").map_err(failed(operation))?;
    let known = account(conn, &name).await?;
    Ok(known.filter(|account| account.identities.contains(identity)))
}

/// Links an identity, which is linked to no account yet.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_identity(
    conn: &mut SqliteConnection,
    identity: &Identity,
    account: &str,
) -> Result<()> {
    query(sql::ADD_IDENTITY)
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .bind(account)
        .execute(conn)
        .await
        .map_err(failed("link an identity"))?;
    Ok(())
}

/// Unlinks an identity.
///
/// # Errors
/// [`super::StoreError`].
pub async fn drop_identity(conn: &mut SqliteConnection, identity: &Identity) -> Result<()> {
    query(sql::DROP_IDENTITY)
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .execute(conn)
        .await
        .map_err(failed("unlink an identity"))?;
    Ok(())
}

/// Unlinks all identities of an account.
///
/// # Errors
/// [`super::StoreError`].
pub async fn drop_identities_of(conn: &mut SqliteConnection, account: &str) -> Result<()> {
    query(sql::DROP_IDENTITIES_OF)
        .bind(account)
        .execute(conn)
        .await
        .map_err(failed("unlink a person's identities"))?;
    Ok(())
}
