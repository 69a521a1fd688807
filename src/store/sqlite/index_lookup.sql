-- index_lookup: the rows of live runs at some keys; no row at all for a run that is not live. One statement,
-- so the rows of a run that is live are all there. CROSS JOIN keeps the wanted keys outermost.
SELECT wanted.value ->> 0, rows.kind, rows.key, rows.data
FROM json_each($2) AS wanted
CROSS JOIN index_runs AS run ON run.log = $1 AND run.level = wanted.value ->> 1
    AND run.first = wanted.value ->> 2 AND run.state = 1
LEFT JOIN index_postings AS rows ON rows.log = $1 AND rows.level = run.level AND rows.first = run.first
    AND rows.kind = wanted.value ->> 3 AND rows.key = wanted.value ->> 4
