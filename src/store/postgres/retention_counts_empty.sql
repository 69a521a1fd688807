-- retention_counts_empty: rows of the rollup that count nothing any more
DELETE FROM event_counts WHERE log = $1 AND count <= 0
