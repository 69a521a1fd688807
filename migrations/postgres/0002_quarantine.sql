-- Rows of the quarantine can be discarded: they stay, with who did it, when and why. Programs of the
-- first schema keep working: they never read these columns, and leave them NULL.
ALTER TABLE quarantine ADD COLUMN discarded_at BIGINT;                -- microseconds since 1970
ALTER TABLE quarantine ADD COLUMN discarded_by TEXT COLLATE "C";      -- the caller's producer name
ALTER TABLE quarantine ADD COLUMN discard_reason TEXT COLLATE "C";

-- The order of the list, for its keyset pages.
CREATE INDEX quarantine_received ON quarantine (log, received_at, producer, event_id, content_hash);
