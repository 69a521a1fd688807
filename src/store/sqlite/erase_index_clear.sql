-- erase_index_clear: deletes rows of a run that are written anew
DELETE FROM index_postings WHERE log = $1 AND level = $2 AND first = $3
    AND (kind, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each($4))
