-- quarantine: keeps refused events, and returns those that were not kept before
INSERT INTO quarantine (log, producer, event_id, content_hash, received_at, reason, description, submitted)
SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], $8::bytea[])
ON CONFLICT (log, producer, event_id, content_hash) DO NOTHING
RETURNING producer, event_id, content_hash
