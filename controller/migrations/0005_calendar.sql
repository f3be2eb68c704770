-- Notices of the State Council that persons entered. One is in force from its enacted_seq on.
CREATE TABLE calendar_notices (
  id TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE,
  enacted_seq BIGINT UNIQUE,
  record TEXT NOT NULL
);
