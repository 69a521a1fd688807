-- index_clear: some rows of a run that is gone
DELETE FROM index_postings
WHERE log = $1 AND level = $2 AND first = $3 AND kind = $4 AND key >= $5 AND key <= $6
