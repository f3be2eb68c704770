use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use tenure_protocol::digest::Digest;

use super::*;
use crate::{
    core::{
        calendar::Calendar,
        fleet::{Fleet, Image},
        lifecycle::{self, Actor, Context, Provider, Role},
        rules::Rules,
    },
    store::{MIGRATIONS, Store},
};

fn tenant() -> Tenant {
    let application = serde_json::from_value(json!({
        "customer": "city-archive",
        "system": {"name": "Archive portal", "code": "archive"},
        "contacts": [{"name": "Duty officer", "email": "duty@example.org",
            "designated": ["email"]}],
        "instances": [{"role": "web", "count": 1, "vcpus": 1, "memory_mib": 128,
            "image": "tiny-1", "volumes_mib": [64]}],
    }));
    let digest = Digest([0; 32]);
    let image =
        Image { name: "tiny-1".to_owned(), kernel: digest, initrd: digest, cmdline: String::new() };
    let fleet = Fleet { images: vec![image], ..Fleet::default() };
    let calendar = Calendar::shipped().expect("the shipped calendar");
    let now: Timestamp = "2026-08-24T01:00:00Z".parse().expect("an instant");
    let context = Context {
        now,
        real_now: now,
        seed: [1; 32],
        calendar: &calendar,
        letters: &crate::core::letter::Letters::shipped().expect("words"),
        rules: &Rules::shipped().expect("the shipped rules"),
        provider: &Provider::default(),
        fleet: &fleet,
        filed: &std::collections::BTreeSet::new(),
    };
    let customer = Some("city-archive".to_owned());
    let actor = Actor { name: "li".to_owned(), role: Role::Customer, customer };
    let opened = lifecycle::open(&application.expect("a form"), &actor, &context);
    opened.expect("an application that can be taken").tenant
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the database of an older build, made by hand")]
async fn tenants_of_before_there_was_a_search_are_found_after_the_upgrade() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("controller.db");
    let tenant = tenant();
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let before = sqlx::SqlitePool::connect_with(options).await.expect("a database");
    let run = async |statement: &'static str| {
        sqlx::raw_sql(statement).execute(&before).await.expect(statement);
    };
    for (_, statements) in &MIGRATIONS[..2] {
        run(statements).await;
    }
    run("CREATE TABLE schema_version (version BIGINT PRIMARY KEY)").await;
    run("INSERT INTO schema_version (version) VALUES (1), (2)").await;
    sqlx::query("INSERT INTO tenants (id, version, phase, state) VALUES ($1, $2, $3, $4)")
        .bind(tenant.id.to_string())
        .bind(to_i64(tenant.version))
        .bind(tenant.phase.as_str())
        .bind(to_json(TABLE, &tenant).expect("JSON"))
        .execute(&before)
        .await
        .expect("a tenant");
    before.close().await;

    let store = Store::open(&path).await.expect("upgraded");
    let mut conn = store.read().await.expect("a connection");
    let due_at = tenant.next_due_at().expect("an opinion is owed");
    for (filter, found) in [
        (TenantFilter { customer: Some("city-archive".to_owned()), ..Default::default() }, 1),
        (TenantFilter { customer: Some("water-bureau".to_owned()), ..Default::default() }, 0),
        (TenantFilter { isolation: Some("connected"), ..Default::default() }, 1),
        (TenantFilter { due_before: Some(due_at), ..Default::default() }, 0),
        (TenantFilter { due_before: Some(due_at.plus_ms(1)), ..Default::default() }, 1),
    ] {
        let slice = tenants_page(&mut conn, &filter, &Page::default()).await.expect("searched");
        assert_eq!(slice.items.len(), found, "{filter:?}");
    }
}
