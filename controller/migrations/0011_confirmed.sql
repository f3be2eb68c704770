-- A token opens nothing until a second person has confirmed it. Those of before were one person's word,
-- and go on: whoever reads the list sees them.
ALTER TABLE tokens ADD COLUMN confirmed_by TEXT;
UPDATE tokens SET confirmed_by = 'before';
