-- erase_index_clear: deletes rows of a run that are written anew
DELETE FROM index_postings AS rows
USING unnest($4::smallint[], $5::bigint[]) AS gone (kind, key)
WHERE rows.log = $1 AND rows.level = $2 AND rows.first = $3 AND rows.kind = gone.kind AND rows.key = gone.key
