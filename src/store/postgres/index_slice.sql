-- index_slice: the rows of runs that hold terms of some buckets
SELECT wanted.first, found.kind, found.key, found.data
FROM unnest($3::bigint[]) AS wanted (first) CROSS JOIN LATERAL (
    SELECT kind, key, data FROM index_postings AS rows
    WHERE rows.log = $1 AND rows.level = $2 AND rows.first = wanted.first AND rows.kind = 0
        AND rows.key >= $4 AND rows.key < $5
    UNION ALL
    SELECT kind, key, data FROM index_postings AS rows
    WHERE rows.log = $1 AND rows.level = $2 AND rows.first = wanted.first AND rows.kind = 1
        AND rows.key >= $6 AND rows.key <= $7
) AS found
