use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{core::lifecycle::Role, store::Store};

#[allow(clippy::disallowed_methods, reason = "a look at what is kept, as an intruder has it")]
#[tokio::test]
async fn who_guesses_what_a_row_says_cannot_confirm_it_by_the_ledger() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("controller.db")).await.expect("a database");
    let tenant = TenantId::from_uuid(Uuid::from_u128(1));
    let mut tx = store.write().await.expect("a transaction");
    sqlx::query("INSERT INTO tenants (id, version, phase, state) VALUES ($1, 1, 'online', '{}')")
        .bind(tenant.to_string())
        .execute(&mut *tx)
        .await
        .expect("a tenant");
    let actor = Actor { name: "wang.fang".to_owned(), role: Role::Operator, customer: None };
    let new = NewEntry {
        tenant,
        kind: "cut",
        at: Timestamp::from_unix_ms(0),
        actor: &actor,
        actor_keyid: Digest::of(b"salted elsewhere"),
        body: json!({"reason": "under attack"}),
        phase: Phase::Online,
        shown: true,
        object: None,
        salt: [7; 32],
    };
    append_journal(&mut tx, new.clone()).await.expect("appended");
    let rows = sqlx::query("SELECT entry, salt FROM journal").fetch_one(&mut *tx).await;
    let row = rows.expect("the row");
    let (entry, salt): (Vec<u8>, Vec<u8>) = (row.get("entry"), row.get("salt"));
    let entry = Entry::from_bytes(&entry).expect("an entry");
    let mut guess = json!({
        "seq": 1, "tenant": tenant, "tenant_seq": 1, "kind": new.kind, "at": new.at,
        "actor": actor, "body": new.body, "phase": new.phase, "object": new.object,
        "previous": Digest([0; 32]),
    });
    assert_ne!(Digest::of(guess.to_string().as_bytes()), entry.object_digest);
    guess["salt"] = json!(hex::encode([0_u8; 32]));
    assert_ne!(Digest::of(guess.to_string().as_bytes()), entry.object_digest);
    guess["salt"] = json!(hex::encode(&salt));
    guess.sort_all_objects();
    assert_eq!(Digest::of(guess.to_string().as_bytes()), entry.object_digest, "with the salt");

    append_journal(&mut tx, NewEntry { salt: [8; 32], ..new }).await.expect("appended");
    let shown = journal_of(&mut tx, tenant, &Page::default()).await.expect("the journal").items;
    assert_eq!(shown.len(), 2);
    let shown = serde_json::to_string(&shown).expect("JSON");
    assert!(!shown.contains("salt") && !shown.contains(&hex::encode(&salt)), "{shown}");
}
