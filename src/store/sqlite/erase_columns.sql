-- erase_columns: what events at some positions are found by
SELECT events.position, family, outcome, code, name, category, producer, actor, subject, device,
    correlation_id, occurred_at, received_at, attributes, severity
FROM json_each($2) AS wanted CROSS JOIN events
WHERE events.log = $1 AND events.position = wanted.value
