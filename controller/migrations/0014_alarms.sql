-- What hosts found on themselves that was not as it should be; the same alarm comes again until the
-- host knows that it is here.
CREATE TABLE alarms (
  host TEXT NOT NULL REFERENCES hosts (id),
  sequence BIGINT NOT NULL,
  seq BIGINT NOT NULL UNIQUE,
  record TEXT NOT NULL,
  PRIMARY KEY (host, sequence)
);
CREATE INDEX alarms_host ON alarms (host, seq);
-- A notice may be about the platform, and so about no tenant.
CREATE TABLE platform_notices (
  id TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE,
  tenant TEXT REFERENCES tenants (id),
  next_at BIGINT,
  leased_until BIGINT,
  state TEXT NOT NULL
);
INSERT INTO platform_notices (id, seq, tenant, next_at, leased_until, state)
  SELECT id, seq, tenant, next_at, leased_until, state FROM notices;
DROP TABLE notices;
ALTER TABLE platform_notices RENAME TO notices;
CREATE INDEX notices_next ON notices (next_at);
CREATE INDEX notices_tenant ON notices (tenant, seq);
