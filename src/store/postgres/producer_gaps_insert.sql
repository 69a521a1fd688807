-- producer_gaps_insert: new gaps, and what is left of older ones
INSERT INTO producer_gaps (log, producer, epoch, from_sequence, to_sequence, seen_at)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
