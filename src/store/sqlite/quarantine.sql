-- quarantine: keeps a refused event; the same event sent again is kept once
INSERT INTO quarantine (log, producer, event_id, content_hash, received_at, reason, description, submitted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (log, producer, event_id, content_hash) DO NOTHING
