-- A draft is its customer's alone until it is handed in. All tenants of before were handed in, and
-- so were all rows of the journal. `shown` rows are those that the provider sees.
ALTER TABLE tenants ADD COLUMN handed_in BIGINT NOT NULL DEFAULT 1;
ALTER TABLE journal ADD COLUMN shown BIGINT NOT NULL DEFAULT 1;
