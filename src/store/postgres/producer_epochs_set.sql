-- producer_epochs_set: epochs as they are after an append
INSERT INTO producer_epochs (log, producer, epoch, first_sequence, last_sequence, seen, repeated, gaps,
    first_seen, last_seen)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[])
ON CONFLICT (log, producer, epoch) DO UPDATE SET
    first_sequence = excluded.first_sequence, last_sequence = excluded.last_sequence,
    seen = excluded.seen, repeated = excluded.repeated, gaps = excluded.gaps,
    first_seen = excluded.first_seen, last_seen = excluded.last_seen
