-- Salt of what a journal row's digest is of; rows of before have none. Shown to nobody.
ALTER TABLE journal ADD COLUMN salt BYTEA;
