-- index_run_set: state and progress of a run
UPDATE index_runs SET state = $4, progress = $5 WHERE log = $1 AND level = $2 AND first = $3
