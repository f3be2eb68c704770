-- Instants are milliseconds since 1970 in UTC; ids are UUIDs and digests hexadecimal, as text.
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  version BIGINT NOT NULL,
  phase TEXT NOT NULL,
  mark BIGINT UNIQUE,
  network TEXT,
  wake_at BIGINT,
  state TEXT NOT NULL
);
CREATE INDEX tenants_wake ON tenants (wake_at);
CREATE TABLE hosts (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  up BIGINT NOT NULL,
  state TEXT NOT NULL
);
CREATE TABLE tokens (
  digest TEXT PRIMARY KEY,
  actor TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE join_tokens (
  digest TEXT PRIMARY KEY,
  host_name TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  host TEXT REFERENCES hosts (id)
);
CREATE TABLE orders (
  id TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE,
  tenant TEXT NOT NULL REFERENCES tenants (id),
  host TEXT NOT NULL REFERENCES hosts (id),
  lane TEXT NOT NULL,
  state TEXT NOT NULL,
  record TEXT NOT NULL,
  signed_order BYTEA NOT NULL,
  signature BYTEA NOT NULL
);
CREATE INDEX orders_open ON orders (host, lane, state);
CREATE INDEX orders_tenant ON orders (tenant);
CREATE TABLE notices (
  id TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE,
  tenant TEXT NOT NULL REFERENCES tenants (id),
  next_at BIGINT,
  leased_until BIGINT,
  state TEXT NOT NULL
);
CREATE INDEX notices_next ON notices (next_at);
CREATE INDEX notices_tenant ON notices (tenant);
CREATE TABLE journal (
  seq BIGINT PRIMARY KEY,
  tenant TEXT NOT NULL REFERENCES tenants (id),
  tenant_seq BIGINT NOT NULL,
  record TEXT NOT NULL,
  digest TEXT NOT NULL,
  entry BYTEA NOT NULL,
  ledger_index BIGINT UNIQUE,
  UNIQUE (tenant, tenant_seq)
);
CREATE TABLE evidence (
  digest TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE REFERENCES journal (seq),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  host TEXT,
  order_id TEXT,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  envelope BYTEA NOT NULL
);
CREATE INDEX evidence_tenant ON evidence (tenant);
CREATE INDEX evidence_order ON evidence (order_id);
CREATE TABLE bundles (
  tenant TEXT PRIMARY KEY REFERENCES tenants (id),
  tar BYTEA NOT NULL
);
