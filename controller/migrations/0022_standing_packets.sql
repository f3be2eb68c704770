-- Standing packets: what hosts keep for cuts that persons order there. 0: the watch is over a cut of
-- the controller; 1: it waits for such a cut; 2: the controller has heard of that cut.
ALTER TABLE watches ADD COLUMN standing BIGINT NOT NULL DEFAULT 0;
-- The cut that it counts into, if that is another one.
ALTER TABLE watches ADD COLUMN counts TEXT;
-- Digest of what its packet says and by which routes.
ALTER TABLE watches ADD COLUMN made_of TEXT NOT NULL DEFAULT '';
CREATE INDEX watches_standing ON watches (standing, tenant);
CREATE INDEX watches_counts ON watches (counts);
