-- index_untidy: logs that may have runs to merge or to clear away
SELECT log FROM index_runs GROUP BY log
HAVING count(*) >= $1 OR min(state) = 0 OR max(state) = 2 ORDER BY log LIMIT $2
