-- producers: adds what one append stored and kept of each producer
INSERT INTO producers (log, producer, first_seen, last_seen, last_position, events, quarantined)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
ON CONFLICT (log, producer) DO UPDATE SET
    last_seen = greatest(producers.last_seen, excluded.last_seen),
    last_position = coalesce(excluded.last_position, producers.last_position),
    events = producers.events + excluded.events,
    quarantined = producers.quarantined + excluded.quarantined
