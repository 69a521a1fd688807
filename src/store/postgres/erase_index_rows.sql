-- erase_index_rows: rows of a run at some keys, live or not
SELECT found.kind, found.key, found.data
FROM unnest($4::smallint[], $5::bigint[]) AS wanted (kind, key)
CROSS JOIN LATERAL (
    SELECT kind, key, data FROM index_postings AS rows
    WHERE rows.log = $1 AND rows.level = $2 AND rows.first = $3
        AND rows.kind = wanted.kind AND rows.key = wanted.key LIMIT 1
) AS found
