-- `owner` is a tenant's id, or 'platform'; `seq` the row of the journal, or of the platform's acts.
CREATE TABLE attachments (
  owner TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  seq BIGINT NOT NULL UNIQUE,
  bytes BIGINT NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (owner, sha256)
);
