-- Rows of the quarantine can be discarded: they stay, with who did it, when and why. The twin of
-- migrations/postgres/0002_quarantine.sql, which explains each column.
ALTER TABLE quarantine ADD COLUMN discarded_at INTEGER;
ALTER TABLE quarantine ADD COLUMN discarded_by TEXT;
ALTER TABLE quarantine ADD COLUMN discard_reason TEXT;

CREATE INDEX quarantine_received ON quarantine (log, received_at, producer, event_id, content_hash);
