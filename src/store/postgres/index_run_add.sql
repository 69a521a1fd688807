-- index_run_add: a run that was not there
INSERT INTO index_runs (log, level, first, state, progress, format) VALUES ($1, $2, $3, $4, $5, $6)
