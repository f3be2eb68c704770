-- Which alarms stand: found, not repaired, and not ended by a person. What an alarm is about is its
-- kind and subject: one of them stands at most. Those from before are on nobody's desk.
ALTER TABLE alarms ADD COLUMN about TEXT NOT NULL DEFAULT '';
ALTER TABLE alarms ADD COLUMN standing BIGINT NOT NULL DEFAULT 0;
CREATE INDEX alarms_standing ON alarms (standing, seq);
CREATE INDEX alarms_about ON alarms (host, about, standing);
