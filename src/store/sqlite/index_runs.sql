-- index_runs: the runs of a log
SELECT level, first, state, progress FROM index_runs WHERE log = $1 AND format = $2 ORDER BY level, first
