-- producer_touched: the epochs of runs of numbers, and the gaps that each run overlaps. Gaps are disjoint, so
-- they begin with the last one that starts at or before the run. LATERAL and OFFSET 0 keep the runs
-- outermost, so that each costs look-ups by primary key, whatever the planner believes of the tables' sizes.
SELECT run.at, epoch.first_sequence, epoch.last_sequence, epoch.seen, epoch.repeated, epoch.gaps,
    epoch.first_seen, epoch.last_seen, gap.from_sequence, gap.to_sequence, gap.seen_at
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
    WITH ORDINALITY AS run (producer, epoch, low, high, at)
CROSS JOIN LATERAL (
    SELECT * FROM producer_epochs
    WHERE log = $1 AND producer = run.producer COLLATE "C" AND epoch = run.epoch
    OFFSET 0
) AS epoch
LEFT JOIN LATERAL (
    SELECT from_sequence, to_sequence, seen_at FROM producer_gaps
    WHERE log = $1 AND producer = run.producer COLLATE "C" AND epoch = run.epoch
        AND from_sequence <= run.high
        AND from_sequence >= coalesce((
            SELECT before.from_sequence FROM producer_gaps AS before
            WHERE before.log = $1 AND before.producer = run.producer COLLATE "C"
                AND before.epoch = run.epoch AND before.from_sequence <= run.low
            ORDER BY before.from_sequence DESC LIMIT 1
        ), run.low)
        AND to_sequence >= run.low
    OFFSET 0
) AS gap ON true
