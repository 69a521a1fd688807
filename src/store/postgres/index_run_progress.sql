-- index_run_progress: state and progress of a run
SELECT state, progress FROM index_runs WHERE log = $1 AND level = $2 AND first = $3
