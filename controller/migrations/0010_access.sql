-- Who may come in. Tokens of before had no end and no owner: they end here, and new ones are made
-- with `tenure-controller token`.
DROP TABLE tokens;
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  used_at BIGINT,
  record TEXT NOT NULL
);
CREATE INDEX tokens_owner ON tokens (owner);
CREATE TABLE accounts (
  name TEXT PRIMARY KEY,
  state TEXT NOT NULL
);
CREATE TABLE sessions (
  digest TEXT PRIMARY KEY,
  account TEXT NOT NULL REFERENCES accounts (name),
  expires_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL
);
CREATE INDEX sessions_account ON sessions (account);
CREATE INDEX sessions_end ON sessions (expires_at);
