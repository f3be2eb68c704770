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

#[allow(clippy::disallowed_methods, reason = "a tenant for the rows to be about")]
#[tokio::test]
async fn the_ledger_says_nothing_of_a_draft_but_that_something_happened() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("controller.db")).await.expect("a database");
    let tenant = TenantId::from_uuid(Uuid::from_u128(1));
    let mut tx = store.write().await.expect("a transaction");
    sqlx::query("INSERT INTO tenants (id, version, phase, state) VALUES ($1, 1, 'draft', '{}')")
        .bind(tenant.to_string())
        .execute(&mut *tx)
        .await
        .expect("a tenant");
    let customer = Some("city-archive".to_owned());
    let actor = Actor { name: "li.na".to_owned(), role: Role::Customer, customer };
    let row = |kind, phase, shown, salt| NewEntry {
        tenant,
        kind,
        at: Timestamp::from_unix_ms(0),
        actor: &actor,
        actor_keyid: Digest::of(b"salted elsewhere"),
        body: json!({"event": kind}),
        phase,
        shown,
        object: None,
        salt: [salt; 32],
    };
    for (kind, phase, shown, salt) in [
        ("save-draft", Phase::Draft, false, 1),
        ("save-draft", Phase::Draft, false, 2),
        ("submit-draft", Phase::Submitted, true, 3),
    ] {
        append_journal(&mut tx, row(kind, phase, shown, salt)).await.expect("appended");
    }
    let own = entries_of(&mut tx, tenant).await.expect("the tenant's own entries");
    let public = pending(&mut tx, 10).await.expect("what the ledger gets");
    let read = |entry: &[u8]| Entry::from_bytes(entry).expect("an entry");
    for ((_, whole), public) in own.iter().zip(&public).take(2) {
        let (whole, public) = (read(whole), read(&public.entry));
        assert_eq!((whole.tenant, whole.kind.as_str()), (Some(tenant), "save-draft"));
        assert_eq!((public.tenant, public.kind.as_str()), (None, "withheld"));
        assert_eq!((public.tenant_seq, public.prev_tenant_event), (0, None));
        assert_eq!(public.actor_keyid, Digest([0; 32]), "nobody");
        assert_eq!(public.object_digest, Digest::of(&whole.to_bytes()), "it is committed to");
    }
    let submitted = read(&public[2].entry);
    assert_eq!((submitted.tenant, submitted.tenant_seq), (Some(tenant), 3));
    assert_eq!(submitted.prev_tenant_event, Some(Digest::of(&own[1].1)), "what came before it too");
}
