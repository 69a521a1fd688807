-- insert_events: numbered events
INSERT INTO events (log, position, record, leaf_hash, family, code, name, category, outcome, producer,
    actor, subject, device, correlation_id, occurred_at, received_at, attributes)
SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::smallint[], $6::text[], $7::text[],
    $8::text[], $9::smallint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::bigint[], $16::bigint[], $17::text[])
