-- index_live: how far a log is indexed, with the live runs that overlap a range of positions
SELECT done.indexed, run.level, run.first
FROM index_heads AS done LEFT JOIN index_runs AS run
    ON run.log = done.log AND run.state = 1 AND run.format = $2
    AND run.first < $4 AND run.first + (CAST(1 AS BIGINT) << CAST(run.level AS INTEGER)) > $3
WHERE done.log = $1 ORDER BY run.first
