-- What a tenant holds of the fleet, for whoever places another one: its network, and what it takes
-- of each host. The store fills the column of rows of before.
ALTER TABLE tenants ADD COLUMN held TEXT;
CREATE INDEX tenants_held ON tenants (id) WHERE held IS NOT NULL;
