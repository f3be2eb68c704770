-- Both tables are append-only. `tenant` is whom a record is about, none for the platform; `sealed`
-- ones are entered among the platform's acts. `seq` is the row of the journal, or of the acts.
CREATE TABLE records (
  id TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE,
  tenant TEXT REFERENCES tenants (id),
  kind TEXT NOT NULL,
  sealed BIGINT NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX records_tenant ON records (tenant, seq);
CREATE TABLE confirmations (
  record TEXT NOT NULL REFERENCES records (id),
  seq BIGINT NOT NULL UNIQUE,
  confirmation TEXT NOT NULL
);
CREATE INDEX confirmations_record ON confirmations (record, seq);
