-- erase_index_rows: rows of a run at some keys, live or not
SELECT rows.kind, rows.key, rows.data
FROM json_each($4) AS wanted CROSS JOIN index_postings AS rows
WHERE rows.log = $1 AND rows.level = $2 AND rows.first = $3
    AND rows.kind = wanted.value ->> 0 AND rows.key = wanted.value ->> 1
