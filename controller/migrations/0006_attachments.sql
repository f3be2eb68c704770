-- Rows of the journal may be about the platform and no tenant. The two tables are made anew, since
-- not every database can take NOT NULL away.
CREATE TABLE evidence_before AS SELECT * FROM evidence;
DROP TABLE evidence;
CREATE TABLE journal_before AS SELECT * FROM journal;
DROP TABLE journal;
CREATE TABLE journal (
  seq BIGINT PRIMARY KEY,
  tenant TEXT REFERENCES tenants (id),
  tenant_seq BIGINT NOT NULL,
  record TEXT NOT NULL,
  digest TEXT NOT NULL,
  entry BYTEA NOT NULL,
  ledger_index BIGINT UNIQUE,
  salt BYTEA,
  UNIQUE (tenant, tenant_seq)
);
INSERT INTO journal (seq, tenant, tenant_seq, record, digest, entry, ledger_index, salt)
  SELECT seq, tenant, tenant_seq, record, digest, entry, ledger_index, salt FROM journal_before;
DROP TABLE journal_before;
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
INSERT INTO evidence (digest, seq, tenant, host, order_id, kind, at, envelope)
  SELECT digest, seq, tenant, host, order_id, kind, at, envelope FROM evidence_before;
DROP TABLE evidence_before;
CREATE INDEX evidence_tenant ON evidence (tenant, seq);
CREATE INDEX evidence_order ON evidence (order_id);
-- `owner` is a tenant's id, or 'platform'.
CREATE TABLE attachments (
  owner TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  seq BIGINT NOT NULL UNIQUE REFERENCES journal (seq),
  bytes BIGINT NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (owner, sha256)
);
