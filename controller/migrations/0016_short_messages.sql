-- Short messages that were handed over, by the ids that their receipts come with: those of one
-- notice and one instant are the parts of one text. `state`: 0 its receipt is awaited, 1 it is on
-- the telephone, 2 a part of the text is not.
CREATE TABLE short_messages (
  message TEXT PRIMARY KEY,
  notice TEXT NOT NULL,
  sent_at BIGINT NOT NULL,
  state BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX short_messages_text ON short_messages (notice, sent_at, state);
CREATE INDEX short_messages_age ON short_messages (sent_at);
