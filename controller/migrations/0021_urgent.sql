-- Notices of cuts are leased before all others.
ALTER TABLE notices ADD COLUMN urgent BIGINT NOT NULL DEFAULT 0;
UPDATE notices SET urgent = 1 WHERE next_at IS NOT NULL AND (state LIKE '%"kind":"cut"%'
  OR state LIKE '%"kind":"cut-correction"%' OR state LIKE '%"kind":"cut-announced"%'
  OR state LIKE '%"kind":"duty-alarm"%');
CREATE INDEX notices_urgent ON notices (urgent, next_at);
