-- known: key rows of submitted events. LATERAL keeps the wanted keys outermost, so that each costs one
-- look-up by primary key whatever the planner believes of the table's size.
SELECT wanted.at, found.position, found.content_hash, events.leaf_hash
FROM unnest($2::text[], $3::uuid[]) WITH ORDINALITY AS wanted (producer, event_id, at)
CROSS JOIN LATERAL (
    SELECT position, content_hash FROM event_keys
    WHERE log = $1 AND producer = wanted.producer COLLATE "C" AND event_id = wanted.event_id
) AS found
LEFT JOIN events ON events.log = $1 AND events.position = found.position
