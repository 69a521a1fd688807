-- index_slice: the rows of runs that hold terms of some buckets
SELECT rows.first, rows.kind, rows.key, rows.data
FROM json_each($3) AS wanted CROSS JOIN index_postings AS rows
WHERE rows.log = $1 AND rows.level = $2 AND rows.first = wanted.value AND rows.kind = 0
    AND rows.key >= $4 AND rows.key < $5
UNION ALL
SELECT rows.first, rows.kind, rows.key, rows.data
FROM json_each($3) AS wanted CROSS JOIN index_postings AS rows
WHERE rows.log = $1 AND rows.level = $2 AND rows.first = wanted.value AND rows.kind = 1
    AND rows.key >= $6 AND rows.key <= $7
