-- retention_counts: takes the events of a run of positions out of the rollup
UPDATE event_counts SET count = event_counts.count - gone.events
FROM (
    SELECT occurred_at / $4 AS hour, family, code, name, category, outcome, producer, count(*) AS events
    FROM events WHERE log = $1 AND position >= $2 AND position < $3
    GROUP BY 1, family, code, name, category, outcome, producer
) AS gone
WHERE event_counts.log = $1 AND event_counts.hour = gone.hour AND event_counts.family = gone.family
    AND event_counts.code = gone.code AND event_counts.name = gone.name
    AND event_counts.category = gone.category AND event_counts.outcome = gone.outcome
    AND event_counts.producer = gone.producer
