-- What a tenant holds of the fleet, for whoever places another one: its network, and what it takes
-- of each host. The store fills the column of rows of before.
ALTER TABLE tenants ADD COLUMN occupied TEXT;
CREATE INDEX tenants_occupied ON tenants (id) WHERE occupied IS NOT NULL;
