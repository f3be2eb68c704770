-- Which customer handed an attachment in, for its quota; '' is the provider. What was filed before
-- counts for its tenant's customer.
ALTER TABLE attachments ADD COLUMN customer TEXT NOT NULL DEFAULT '';
UPDATE attachments SET customer = COALESCE((SELECT customer FROM tenants WHERE tenants.id =
  attachments.owner), '');
CREATE INDEX attachments_customer ON attachments (customer, bytes);
-- From where persons and hosts came in: `name` is a person's, or `host/` and a host's id.
CREATE TABLE acquainted (
  name TEXT NOT NULL,
  site TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (name, site)
);
CREATE INDEX acquainted_at ON acquainted (at);
-- Tokens that are in force, for a controller that starts.
CREATE INDEX tokens_end ON tokens (expires_at);
