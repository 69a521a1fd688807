-- retention_runs: runs of the index that hold nothing but what is removed are to be cleared away, and those of
-- them that are being made are not made
UPDATE index_runs SET state = 2, progress = 0
WHERE log = $1 AND state < 2 AND (
    first + (CAST(1 AS BIGINT) << CAST(level AS INTEGER)) <= $2 OR (state = 0 AND first < $2)
)
