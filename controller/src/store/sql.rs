//! The SQL statements of the store, in one table. `query` takes no other text, and a lint refuses
//! `sqlx::query` and its like elsewhere; a test lets PostgreSQL prepare each of [`ALL`]
//! (`tests/tests/postgres.rs`). The one text outside is the search for tenants
//! ([`super::tenants_page`]), whose conditions are those that the caller gives.

use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments};

/// One statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// Its name in this file.
    pub name: &'static str,
    /// What is sent; parameters are `$1`, `$2`, …
    pub text: &'static str,
}

/// A statement, to bind its parameters and to run it.
#[allow(clippy::disallowed_methods, reason = "this is the one place that makes queries")]
pub(super) fn query(statement: Statement) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(statement.text)
}

macro_rules! statements {
    ($($name:ident: $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`")]
        pub const $name: Statement =
            Statement { name: stringify!($name), text: $text };)*

        /// All of them, in the order of this file.
        pub const ALL: &[Statement] = &[$($name),*];
    };
}

statements! {
    CREATE_SCHEMA_VERSION: "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)";
    SCHEMA_VERSION: "SELECT COALESCE(MAX(version), 0) AS version FROM schema_version";
    ADD_SCHEMA_VERSION: "INSERT INTO schema_version (version) VALUES ($1)";
    META: "SELECT value FROM meta WHERE name = $1";
    SET_META:
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = \
         excluded.value";

    TENANT: "SELECT state FROM tenants WHERE id = $1";
    OCCUPIED: "SELECT occupied FROM tenants WHERE occupied IS NOT NULL ORDER BY id";
    TENANTS_IN: "SELECT id FROM tenants WHERE phase = $1 ORDER BY id";
    TENANT_IDS: "SELECT id FROM tenants WHERE id > $1 ORDER BY id LIMIT $2";
    ADD_TENANT:
        "INSERT INTO tenants (id, version, phase, mark, network, wake_at, state, customer, \
         isolation, due_at, handed_in, duty_at, occupied) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, \
         $9, $10, $11, $12, $13)";
    SAVE_TENANT:
        "UPDATE tenants SET version = $1, phase = $2, mark = $3, network = $4, wake_at = $5, \
         state = $6, customer = $7, isolation = $8, due_at = $9, handed_in = $10, duty_at = $11, \
         occupied = $12 WHERE id = $13 AND version = $14";
    OPEN_APPLICATIONS:
        "SELECT COUNT(*) AS open FROM tenants WHERE customer = $1 AND phase IN ('draft', \
          'submitted', 'correction-requested')";
    OCCUPANTS: "SELECT id, occupied FROM tenants WHERE occupied IS NOT NULL ORDER BY id";
    TENANTS_TO_WAKE: "SELECT id FROM tenants WHERE wake_at <= $1 ORDER BY wake_at";
    NEXT_WAKE: "SELECT MIN(wake_at) AS wake_at FROM tenants";
    LAST_MARK: "SELECT MAX(mark) AS mark FROM tenants";

    HOST: "SELECT state FROM hosts WHERE id = $1";
    HOSTS: "SELECT state FROM hosts ORDER BY name";
    SAVE_HOST:
        "INSERT INTO hosts (id, name, up, state) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO \
         UPDATE SET up = excluded.up, state = excluded.state";
    ALARM: "SELECT seq FROM alarms WHERE host = $1 AND sequence = $2";
    ADD_ALARM:
        "INSERT INTO alarms (host, sequence, seq, record, about, standing) SELECT $1, $2, \
         COALESCE(MAX(seq), 0) + 1, $3, $4, $5 FROM alarms";
    ALARMS_OF:
        "SELECT seq, record, standing FROM alarms WHERE host = $1 AND seq > $2 ORDER BY seq LIMIT \
         $3";
    REPLACE_ALARM:
        "UPDATE alarms SET standing = 0 WHERE host = $1 AND about = $2 AND sequence < $3 AND \
         standing = 1";
    LATER_ALARM:
        "SELECT seq FROM alarms WHERE host = $1 AND about = $2 AND sequence > $3 LIMIT 1";
    STANDING_ALARM:
        "SELECT record, standing FROM alarms WHERE host = $1 AND sequence = $2 AND standing = 1";
    END_ALARM: "UPDATE alarms SET standing = 0 WHERE host = $1 AND sequence = $2";
    STANDING_ALARMS:
        "SELECT host, record, standing FROM alarms WHERE standing = 1 ORDER BY seq LIMIT $1";
    SAVE_JOIN_TOKEN:
        "INSERT INTO join_tokens (digest, host_name, expires_at, host, issuer) VALUES ($1, $2, \
         $3, $4, $5) ON CONFLICT (digest) DO UPDATE SET host = excluded.host";
    JOIN_TOKEN: "SELECT host_name, expires_at, host, issuer FROM join_tokens WHERE digest = $1";

    ADD_ORDER:
        "INSERT INTO orders (id, seq, tenant, host, lane, state, record, signed_order, \
         signature) SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5, $6, $7, $8 FROM orders";
    SAVE_ORDER: "UPDATE orders SET state = $1, record = $2 WHERE id = $3";
    ORDER: "SELECT record, signed_order, signature FROM orders WHERE id = $1";
    ORDERS_OF:
        "SELECT seq, record FROM orders WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    FIRST_ORDER: "SELECT record FROM orders WHERE tenant = $1 AND host = $2 ORDER BY seq LIMIT 1";
    OPEN_ORDERS:
        "SELECT signed_order, signature FROM orders WHERE host = $1 AND lane = $2 AND state IN \
         ('open', 'journalled', 'started', 'intent') ORDER BY seq";

    ADD_NOTICE:
        "INSERT INTO notices (id, seq, tenant, next_at, leased_until, state, urgent) SELECT $1, \
         COALESCE(MAX(seq), 0) + 1, $2, $3, NULL, $4, $5 FROM notices";
    SAVE_NOTICE:
        "UPDATE notices SET next_at = $1, leased_until = $2, state = $3, fence = fence + 1 WHERE \
         id = $4 AND fence = $5";
    NOTICE: "SELECT state, leased_until, fence FROM notices WHERE id = $1";
    NOTICES_OF:
        "SELECT seq, state, leased_until, fence FROM notices WHERE tenant = $1 AND seq > $2 UNION \
         ALL SELECT n.seq, n.state, n.leased_until, n.fence FROM joint_parts p JOIN notices n ON \
         n.id = p.notice WHERE p.tenant = $1 AND n.seq > $2 ORDER BY seq LIMIT $3";
    ADD_JOINT_PART:
        "INSERT INTO joint_parts (tenant, notice) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    SET_CORRECTION:
        "INSERT INTO corrections (notice, correction) VALUES ($1, $2) ON CONFLICT (notice) \
         DO UPDATE SET correction = excluded.correction";
    CORRECTION:
        "SELECT n.state, n.leased_until, n.fence FROM corrections c JOIN notices n ON n.id = \
         c.correction WHERE c.notice = $1";
    NOTICES_TO_LEASE:
        "SELECT state, leased_until, fence FROM notices WHERE urgent = $1 AND next_at <= $2 AND \
         (leased_until IS NULL OR leased_until <= $2) ORDER BY next_at, seq LIMIT $3";
    LEASE_NOTICE: "UPDATE notices SET leased_until = $1, fence = fence + 1 WHERE id = $2";
    NEXT_NOTICE_AT:
        "SELECT MIN(CASE WHEN leased_until > next_at THEN leased_until ELSE next_at END) AS at \
         FROM notices WHERE next_at >= 0";

    LAST_ROW:
        "SELECT seq, digest FROM (SELECT seq, digest FROM journal UNION ALL SELECT seq, digest \
         FROM platform_acts) AS rows ORDER BY seq DESC LIMIT 1";
    APPEND_JOURNAL:
        "INSERT INTO journal (seq, tenant, tenant_seq, record, digest, entry, salt, shown, \
         customer) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT customer FROM tenants WHERE id \
         = $2))";
    FILL_CUSTOMERS:
        "UPDATE journal SET customer = (SELECT customer FROM tenants WHERE tenants.id = \
         journal.tenant)";
    LAST_ENTRY:
        "SELECT tenant_seq, entry FROM journal WHERE tenant = $1 ORDER BY tenant_seq DESC LIMIT \
         1";
    JOURNAL_OF:
        "SELECT record, ledger_index FROM journal WHERE tenant = $1 AND tenant_seq > $2 ORDER \
         BY tenant_seq LIMIT $3";
    ENTRIES_OF: "SELECT entry, ledger_index FROM journal WHERE tenant = $1 ORDER BY tenant_seq";
    LEDGER_END:
        "SELECT ledger_index FROM (SELECT ledger_index FROM journal WHERE ledger_index >= 0 UNION \
         ALL SELECT ledger_index FROM platform_acts WHERE ledger_index >= 0) AS rows ORDER BY \
         ledger_index DESC LIMIT 1";
    PENDING:
        "SELECT seq, entry, shown FROM journal WHERE seq > $1 UNION ALL SELECT seq, entry, 1 AS \
         shown FROM platform_acts WHERE seq > $1 ORDER BY seq LIMIT $2";
    SET_LEDGER_INDICES:
        "UPDATE journal SET ledger_index = seq - 1 WHERE seq >= $1 AND seq <= $2";
    ADD_EVIDENCE:
        "INSERT INTO evidence (digest, seq, tenant, host, order_id, kind, at, envelope) VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8)";
    EVIDENCE_OF:
        "SELECT e.seq, e.tenant, e.digest, e.kind, e.host, e.order_id, e.at, e.envelope, \
         j.ledger_index FROM evidence e JOIN journal j ON j.seq = e.seq WHERE e.tenant = $1 AND \
         e.seq > $2 ORDER BY e.seq LIMIT $3";
    EVIDENCE:
        "SELECT e.tenant, e.digest, e.kind, e.host, e.order_id, e.at, e.envelope, \
         j.ledger_index, j.entry FROM evidence e JOIN journal j ON j.seq = e.seq WHERE e.digest \
         = $1";
    ATTACHMENT: "SELECT record FROM attachments WHERE owner = $1 AND sha256 = $2";
    ATTACHMENTS:
        "SELECT seq, record FROM attachments WHERE owner = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    HELD:
        "SELECT COUNT(*) AS files, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM \
         attachments WHERE owner = $1";
    HELD_BY:
        "SELECT COUNT(*) AS files, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM \
         attachments WHERE customer = $1";
    ADD_ATTACHMENT:
        "INSERT INTO attachments (owner, sha256, seq, bytes, record, customer) VALUES ($1, $2, $3, \
         $4, $5, $6)";
    RECORD: "SELECT record FROM records WHERE id = $1";
    RECORDS_OF:
        "SELECT seq, record FROM records WHERE tenant = $1 AND sealed <= $2 AND seq > $3 ORDER BY \
         seq LIMIT $4";
    RECORDS_OF_PLATFORM:
        "SELECT seq, record FROM records WHERE tenant IS NULL AND sealed <= $1 AND seq > $2 ORDER \
         BY seq LIMIT $3";
    RECORDS_OF_PLATFORM_KIND:
        "SELECT record FROM records WHERE tenant IS NULL AND kind = $1 ORDER BY seq";
    ADD_RECORD:
        "INSERT INTO records (id, seq, tenant, kind, sealed, record) VALUES ($1, $2, $3, $4, $5, \
         $6)";
    CONFIRMATIONS_OF: "SELECT confirmation FROM confirmations WHERE record = $1 ORDER BY seq";
    ADD_CONFIRMATION: "INSERT INTO confirmations (record, seq, confirmation) VALUES ($1, $2, $3)";
    BUNDLE: "SELECT tar FROM bundles WHERE tenant = $1";
    ADD_BUNDLE: "INSERT INTO bundles (tenant, tar) VALUES ($1, $2)";
    SET_ACT_LEDGER_INDICES:
        "UPDATE platform_acts SET ledger_index = seq - 1 WHERE seq >= $1 AND seq <= $2";
    INTENT_OF: "SELECT digest FROM evidence WHERE order_id = $1 AND kind = $2";
    APPEND_ACT:
        "INSERT INTO platform_acts (seq, kind, host, record, digest, entry, salt) VALUES ($1, \
         $2, $3, $4, $5, $6, $7)";
    ACTS: "SELECT record, ledger_index FROM platform_acts ORDER BY seq DESC LIMIT $1";
    JOINING_OF:
        "SELECT entry, ledger_index FROM platform_acts WHERE host = $1 AND kind = $2 ORDER BY \
         seq LIMIT 1";
    HOSTS_PAGE: "SELECT state FROM hosts WHERE name > $1 ORDER BY name LIMIT $2";
    CUSTOMERS_JOURNAL:
        "SELECT record, ledger_index FROM journal WHERE customer = $1 AND seq > $2 ORDER BY seq \
         LIMIT $3";
    SHOWN_JOURNAL:
        "SELECT record, ledger_index FROM journal WHERE shown = 1 AND seq > $1 ORDER BY seq LIMIT \
         $2";
    JOURNAL_END: "SELECT COALESCE(MAX(seq), 0) AS seq FROM journal";
    CHANGE_MADE:
        "SELECT request, outcome FROM change_keys WHERE identity = $1 AND name = $2 AND \
         kept_until > $3";
    KEEP_CHANGE:
        "INSERT INTO change_keys (identity, name, request, outcome, kept_until) VALUES ($1, $2, \
         $3, $4, $5)";
    SWEEP_CHANGES: "DELETE FROM change_keys WHERE kept_until <= $1";
    UNFINISHED_ORDERS:
        "SELECT record FROM orders WHERE tenant = $1 AND host = $2 AND lane = $3 AND state IN \
         ('open', 'journalled', 'started', 'intent') ORDER BY seq";
    OWNER_OF: "SELECT customer, handed_in FROM tenants WHERE id = $1";
    OWNER_OF_ORDER:
        "SELECT t.customer, t.handed_in FROM orders o JOIN tenants t ON t.id = o.tenant WHERE \
         o.id = $1";
    ADD_TOKEN:
        "INSERT INTO tokens (id, digest, owner, expires_at, record, confirmed_by) VALUES ($1, $2, \
         $3, $4, $5, $6)";
    TOKEN_BY_DIGEST:
        "SELECT id, owner, expires_at, revoked_at, used_at, confirmed_by, record FROM tokens WHERE \
         digest = $1";
    TOKEN_BY_ID:
        "SELECT id, owner, expires_at, revoked_at, used_at, confirmed_by, record FROM tokens WHERE \
         id = $1";
    TOKENS:
        "SELECT id, owner, expires_at, revoked_at, used_at, confirmed_by, record FROM tokens WHERE \
         owner > $1 OR (owner = $1 AND id > $2) ORDER BY owner, id LIMIT $3";
    TOKENS_OF:
        "SELECT id, owner, expires_at, revoked_at, used_at, confirmed_by, record FROM tokens WHERE \
         owner = $1";
    REVOKE_TOKEN: "UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    REVOKE_TOKENS_OF: "UPDATE tokens SET revoked_at = $1 WHERE owner = $2 AND revoked_at IS NULL";
    CONFIRM_TOKEN: "UPDATE tokens SET confirmed_by = $1 WHERE id = $2 AND confirmed_by IS NULL";
    USE_TOKEN: "UPDATE tokens SET used_at = $1 WHERE id = $2";
    ACCOUNT: "SELECT state FROM accounts WHERE name = $1";
    ACCOUNTS: "SELECT state FROM accounts WHERE name > $1 ORDER BY name LIMIT $2";
    SAVE_ACCOUNT:
        "INSERT INTO accounts (name, state, pending) VALUES ($1, $2, $3) ON CONFLICT (name) DO \
         UPDATE SET state = excluded.state, pending = excluded.pending";
    ADD_SESSION:
        "INSERT INTO sessions (digest, account, expires_at, used_at) VALUES ($1, $2, $3, $4)";
    SESSION:
        "SELECT s.expires_at, s.used_at, a.state FROM sessions s JOIN accounts a ON a.name = \
         s.account WHERE s.digest = $1";
    USE_SESSION: "UPDATE sessions SET used_at = $1 WHERE digest = $2";
    END_SESSION: "DELETE FROM sessions WHERE digest = $1";
    END_SESSIONS_OF:
        "DELETE FROM sessions WHERE account = $1 AND digest NOT IN (SELECT digest FROM sessions \
         WHERE account = $1 ORDER BY used_at DESC, digest LIMIT $2)";
    FORGET_SESSIONS: "DELETE FROM sessions WHERE expires_at <= $1";
    LIVE_TOKENS:
        "SELECT digest FROM tokens WHERE expires_at > $1 AND revoked_at IS NULL AND confirmed_by \
         IS NOT NULL ORDER BY expires_at DESC LIMIT $2";
    LIVE_SESSIONS:
        "SELECT digest FROM sessions WHERE expires_at > $1 ORDER BY expires_at DESC LIMIT $2";
    ACQUAINT:
        "INSERT INTO acquainted (name, site, at) VALUES ($1, $2, $3) ON CONFLICT (name, site) DO \
         UPDATE SET at = excluded.at";
    ACQUAINTED: "SELECT name, site FROM acquainted WHERE at > $1 ORDER BY at DESC LIMIT $2";
    FORGET_SITES_OF:
        "DELETE FROM acquainted WHERE name = $1 AND site NOT IN (SELECT site FROM acquainted WHERE \
         name = $1 ORDER BY at DESC, site LIMIT $2)";
    FORGET_ACQUAINTED: "DELETE FROM acquainted WHERE at <= $1";
    IDENTITY: "SELECT account FROM identities WHERE issuer = $1 AND subject = $2";
    ADD_IDENTITY: "INSERT INTO identities (issuer, subject, account) VALUES ($1, $2, $3)";
    DROP_IDENTITY: "DELETE FROM identities WHERE issuer = $1 AND subject = $2";
    DROP_IDENTITIES_OF: "DELETE FROM identities WHERE account = $1";
    ADD_CALENDAR_NOTICE:
        "INSERT INTO calendar_notices (id, seq, record) SELECT $1, COALESCE(MAX(seq), 0) + 1, \
         $2 FROM calendar_notices";
    ENACT_CALENDAR_NOTICE:
        "UPDATE calendar_notices SET record = $1, enacted_seq = (SELECT \
         COALESCE(MAX(enacted_seq), 0) + 1 FROM calendar_notices) WHERE id = $2";
    DROP_CALENDAR_NOTICE:
        "DELETE FROM calendar_notices WHERE id = $1 AND enacted_seq IS NULL";
    CALENDAR_NOTICE: "SELECT record FROM calendar_notices WHERE id = $1";
    CALENDAR_NOTICES:
        "SELECT record FROM calendar_notices ORDER BY CASE WHEN enacted_seq IS NULL THEN 1 ELSE \
         0 END, enacted_seq, seq";
    KEEP_SHORT_MESSAGE:
        "INSERT INTO short_messages (message, notice, sent_at, state) VALUES ($1, $2, $3, 0) ON \
         CONFLICT (message) DO UPDATE SET notice = excluded.notice, sent_at = excluded.sent_at, \
         state = 0";
    SHORT_MESSAGE: "SELECT notice, sent_at, state FROM short_messages WHERE message = $1";
    RECEIVE_SHORT_MESSAGE: "UPDATE short_messages SET state = $1 WHERE message = $2";
    LOSE_SHORT_MESSAGES:
        "UPDATE short_messages SET state = 2 WHERE notice = $1 AND sent_at = $2";
    SHORT_MESSAGES_OPEN:
        "SELECT COUNT(*) AS open FROM short_messages WHERE notice = $1 AND sent_at = $2 AND state \
         = 0";
    FORGET_SHORT_MESSAGES: "DELETE FROM short_messages WHERE sent_at <= $1";
    ADD_WATCH:
        "INSERT INTO watches (cut, host, tenant, ordered_at, state, reason) VALUES ($1, $2, $3, \
         $4, 'open', '') ON CONFLICT (cut, host) DO NOTHING";
    ADD_STANDING_WATCH:
        "INSERT INTO watches (cut, host, tenant, ordered_at, state, reason, standing, made_of) \
         VALUES ($1, $2, $3, $4, 'open', '', 1, $5)";
    STANDING_WATCHES:
        "SELECT cut, host, tenant, ordered_at, state, reason, standing, counts, made_of FROM \
         watches WHERE standing = 1 AND tenant = $1 AND state IN ('open', 'kept', 'lost') ORDER BY \
         cut";
    ADOPT_WATCH:
        "UPDATE watches SET standing = 2, counts = $1, ordered_at = $2, state = CASE WHEN state = \
         'over' THEN 'over' ELSE $3 END, reason = 'told' WHERE cut = $4 AND host = $5";
    WATCH:
        "SELECT cut, host, tenant, ordered_at, state, reason, standing, counts, made_of FROM \
         watches WHERE cut = $1 AND host = $2";
    WATCHES_TO_TELL:
        "SELECT cut, host, tenant, ordered_at, state, reason, standing, counts, made_of FROM \
         watches WHERE host = $1 AND state IN ('open', 'lost', 'disarmed') ORDER BY cut";
    SAVE_WATCH: "UPDATE watches SET state = $1, message = $2 WHERE cut = $3 AND host = $4";
    WATCHED_FOR_OTHER:
        "SELECT cut FROM watches WHERE (cut = $1 OR counts = $1) AND tenant <> $2 LIMIT 1";
    WATCHERS_OF:
        "SELECT host FROM watches WHERE (cut = $1 OR counts = $1) AND state IN ('open', 'kept', \
         'lost')";
    DISARM_WATCHES:
        "UPDATE watches SET state = 'disarmed', reason = $1 WHERE (cut = $2 OR counts = $2) AND \
         state IN ('open', 'kept', 'lost')";
    WATCHED_TENANTS:
        "SELECT DISTINCT tenant FROM watches WHERE state IN ('open', 'kept', 'lost')";
    LOST_WATCHES:
        "SELECT tenant, host, message FROM watches WHERE state = 'lost' AND standing <> 1 ORDER BY \
         tenant, host LIMIT $1";
    WITHOUT_STANDING:
        "SELECT host, COUNT(*) AS tenants FROM watches WHERE state IN ('open', 'lost') AND \
         standing NOT IN (0, 2) AND (state = 'lost' OR ordered_at <= $1) GROUP BY host ORDER BY \
         host LIMIT $2";
    HOSTS_UP: "SELECT id AS host FROM hosts WHERE up = 1 ORDER BY id LIMIT $1";
    ON_DUTY:
        "SELECT state FROM tenants WHERE duty_at <= $1 ORDER BY duty_at, id LIMIT $2";
    SET_DUTY: "UPDATE tenants SET duty_at = $1 WHERE id = $2";
    PENDING_TOKENS:
        "SELECT id, owner, expires_at, revoked_at, used_at, confirmed_by, record FROM tokens WHERE \
         confirmed_by IS NULL AND expires_at > $1 AND revoked_at IS NULL ORDER BY expires_at LIMIT \
         $2";
    PENDING_ACCOUNTS: "SELECT state FROM accounts WHERE pending = 1 ORDER BY name LIMIT $1";
    CALENDAR_ENACTED: "SELECT COUNT(enacted_seq) AS enacted FROM calendar_notices";
}
