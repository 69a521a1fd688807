-- index_events: what is indexed of the events of a segment
SELECT position, family, outcome, code, name, category, producer, actor, subject, device, correlation_id,
    occurred_at, received_at, attributes, severity
FROM events WHERE log = $1 AND position >= $2 AND position < $3 ORDER BY position LIMIT $4
