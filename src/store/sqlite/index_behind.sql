-- index_behind: logs with at least so many positions that are not indexed, the longest waiting first
SELECT heads.log, heads.size, CAST(coalesce(done.indexed, 0) AS BIGINT)
FROM log_head AS heads LEFT JOIN index_heads AS done ON done.log = heads.log
WHERE heads.size - coalesce(done.indexed, 0) >= $1
ORDER BY heads.size - coalesce(done.indexed, 0) DESC, heads.log LIMIT $2
