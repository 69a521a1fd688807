-- append: numbered events, their keys, the new head of their log, and what is added to their producers.
-- The arrays are taken apart in the list of the SELECT, value by value in step; as a table in FROM they would
-- be copied first.
WITH head AS (
    UPDATE log_head SET size = $18, tree_size = $18, frontier = $28,
        filled = CASE WHEN filled = size THEN $18 ELSE filled END
    WHERE log = $1
), keys AS (
    INSERT INTO event_keys (log, producer, event_id, position, content_hash)
    SELECT $1, unnest($10::text[]), unnest($19::uuid[]), unnest($2::bigint[]), unnest($20::bytea[])
), seen AS (
    INSERT INTO producers (log, producer, first_seen, last_seen, last_position, events, quarantined)
    SELECT $1, unnest($21::text[]), unnest($22::bigint[]), unnest($23::bigint[]), unnest($24::bigint[]),
        unnest($25::bigint[]), unnest($26::bigint[])
    ON CONFLICT (log, producer) DO UPDATE SET
        last_seen = greatest(producers.last_seen, excluded.last_seen),
        last_position = coalesce(excluded.last_position, producers.last_position),
        events = producers.events + excluded.events,
        quarantined = producers.quarantined + excluded.quarantined
)
INSERT INTO events (log, position, record, leaf_hash, family, code, name, category, outcome, producer,
    actor, subject, device, correlation_id, occurred_at, received_at, attributes, severity, personal)
SELECT $1, unnest($2::bigint[]), unnest($3::bytea[]), unnest($4::bytea[]), unnest($5::smallint[]),
    unnest($6::text[]), unnest($7::text[]), unnest($8::text[]), unnest($9::smallint[]), unnest($10::text[]),
    unnest($11::text[]), unnest($12::text[]), unnest($13::text[]), unnest($14::text[]),
    unnest($15::bigint[]), unnest($16::bigint[]), unnest($17::text[]),
    unnest($27::bigint[]), unnest($29::bytea[])
