-- insert_keys: the idempotency rows of numbered events
INSERT INTO event_keys (log, producer, event_id, position, content_hash)
SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::bytea[])
