-- quarantine: keeps refused events; the same event sent again is kept once
INSERT INTO quarantine (log, producer, event_id, content_hash, received_at, reason, description, submitted)
SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], $8::bytea[])
ON CONFLICT (log, producer, event_id, content_hash) DO NOTHING
