-- erase_columns: what events at some positions are found by
SELECT found.position, found.family, found.outcome, found.code, found.name, found.category, found.producer,
    found.actor, found.subject, found.device, found.correlation_id, found.occurred_at, found.received_at,
    found.attributes, found.severity
FROM unnest($2::bigint[]) AS wanted (position)
CROSS JOIN LATERAL (SELECT * FROM events WHERE log = $1 AND events.position = wanted.position LIMIT 1) AS found
