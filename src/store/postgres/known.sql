-- known: key rows of submitted events. LATERAL and the sub-select keep the wanted keys outermost, so that
-- each costs look-ups by primary key, whatever the planner believes of the tables' sizes: a plan made for
-- empty tables is kept while they grow.
SELECT wanted.at, found.position, found.content_hash,
    (SELECT leaf_hash FROM events WHERE events.log = $1 AND events.position = found.position)
FROM unnest($2::text[], $3::uuid[]) WITH ORDINALITY AS wanted (producer, event_id, at)
CROSS JOIN LATERAL (
    SELECT position, content_hash FROM event_keys
    WHERE log = $1 AND producer = wanted.producer COLLATE "C" AND event_id = wanted.event_id
    OFFSET 0
) AS found
