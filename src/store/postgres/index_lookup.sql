-- index_lookup: the rows of live runs at some keys; no row at all for a run that is not live. One statement,
-- so the rows of a run that is live are all there. LIMIT keeps every key a look-up of its own.
SELECT wanted.at, found.kind, found.key, found.data
FROM unnest($2::bigint[], $3::smallint[], $4::bigint[], $5::smallint[], $6::bigint[])
    AS wanted (at, level, first, kind, key)
CROSS JOIN LATERAL (
    SELECT 1 FROM index_runs AS run
    WHERE run.log = $1 AND run.level = wanted.level AND run.first = wanted.first AND run.state = 1 LIMIT 1
) AS live
LEFT JOIN LATERAL (
    SELECT kind, key, data FROM index_postings AS rows
    WHERE rows.log = $1 AND rows.level = wanted.level AND rows.first = wanted.first
        AND rows.kind = wanted.kind AND rows.key = wanted.key LIMIT 1
) AS found ON true
