-- retention_counts: takes the events of a run of positions out of the rollup
WITH gone AS (
    SELECT occurred_at / $4 AS hour, family, code, name, category, outcome, producer, count(*) AS events
    FROM events WHERE log = $1 AND position >= $2 AND position < $3
    GROUP BY 1, family, code, name, category, outcome, producer
)
UPDATE event_counts AS counted SET count = counted.count - gone.events
FROM gone
WHERE counted.log = $1 AND counted.hour = gone.hour AND counted.family = gone.family AND counted.code = gone.code
    AND counted.name = gone.name AND counted.category = gone.category AND counted.outcome = gone.outcome
    AND counted.producer = gone.producer
