-- What tenants are searched by, kept with their state in the same transaction. The store fills the
-- columns of rows of before.
ALTER TABLE tenants ADD COLUMN customer TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN isolation TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN due_at BIGINT;
CREATE INDEX tenants_phase ON tenants (phase, id);
CREATE INDEX tenants_customer ON tenants (customer, id);
CREATE INDEX tenants_isolation ON tenants (isolation, id);
CREATE INDEX tenants_due ON tenants (due_at);
-- Lists of one tenant are read in pages, by number.
DROP INDEX orders_tenant;
CREATE INDEX orders_tenant ON orders (tenant, seq);
DROP INDEX notices_tenant;
CREATE INDEX notices_tenant ON notices (tenant, seq);
DROP INDEX evidence_tenant;
CREATE INDEX evidence_tenant ON evidence (tenant, seq);
-- Keys of changes that were made: a change that comes twice is made once.
CREATE TABLE change_keys (
  identity TEXT NOT NULL,
  name TEXT NOT NULL,
  request TEXT NOT NULL,
  outcome TEXT,
  kept_until BIGINT NOT NULL,
  PRIMARY KEY (identity, name)
);
CREATE INDEX change_keys_kept ON change_keys (kept_until);
