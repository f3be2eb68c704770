-- What the duty desk looks at: tenants by the legal instant from which they have something for it,
-- and what waits for a second person.
ALTER TABLE tenants ADD COLUMN duty_at BIGINT;
CREATE INDEX tenants_duty ON tenants (duty_at, id);
CREATE INDEX tokens_pending ON tokens (expires_at) WHERE confirmed_by IS NULL;
ALTER TABLE accounts ADD COLUMN pending BIGINT NOT NULL DEFAULT 0;
UPDATE accounts SET pending = 1 WHERE state LIKE '%"standing":"pending"%';
CREATE INDEX accounts_pending ON accounts (pending, name);
