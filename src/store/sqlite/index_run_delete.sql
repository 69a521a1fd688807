-- index_run_delete: a run of which nothing is left
DELETE FROM index_runs WHERE log = $1 AND level = $2 AND first = $3
