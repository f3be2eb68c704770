-- What happens to the platform itself. Its rows and the journal's share one sequence of numbers.
CREATE TABLE platform_acts (
  seq BIGINT PRIMARY KEY,
  kind TEXT NOT NULL,
  host TEXT REFERENCES hosts (id),
  record TEXT NOT NULL,
  digest TEXT NOT NULL,
  entry BYTEA NOT NULL,
  salt BYTEA NOT NULL,
  ledger_index BIGINT UNIQUE
);
CREATE INDEX platform_acts_host ON platform_acts (host);
-- Who issued the grant; those of before have none, and are long over.
ALTER TABLE join_tokens ADD COLUMN issuer TEXT;
-- A block says by whom, when and why.
UPDATE hosts SET state = REPLACE(state, '"admission":"blocked"',
  '"admission":{"blocked":{"by":"controller","at":"1970-01-01T00:00:00.000Z",' ||
  '"reason":"its join token was used twice"}}');
