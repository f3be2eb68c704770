-- Which hosts watch over which cut: they keep its notices, and send them if the controller falls
-- silent. The packets themselves are made when they are sent and are not kept here.
CREATE TABLE watches (
  cut TEXT NOT NULL,
  host TEXT NOT NULL REFERENCES hosts (id),
  tenant TEXT NOT NULL REFERENCES tenants (id),
  ordered_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT,
  PRIMARY KEY (cut, host)
);
CREATE INDEX watches_host ON watches (host, state);
CREATE INDEX watches_state ON watches (state, tenant);
-- Among which a witness is looked for.
CREATE INDEX hosts_up ON hosts (up, id);
-- Grows with each lease and each record of a notice: who comes with an older one is late.
ALTER TABLE notices ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;
