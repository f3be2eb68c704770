-- What a million tenants need, so that nothing is looked for among all of them.
-- Tenants by customer and phase; and what is due, by deadline alone.
CREATE INDEX tenants_customer_phase ON tenants (customer, phase, id);
DROP INDEX tenants_due;
CREATE INDEX tenants_due ON tenants (due_at, id);
-- Each row's customer, for streams of one customer's events; a tenant's customer never changes. The
-- store fills the column of rows of before.
ALTER TABLE journal ADD COLUMN customer TEXT NOT NULL DEFAULT '';
CREATE INDEX journal_customer ON journal (customer, seq);
