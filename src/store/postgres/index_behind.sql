-- index_behind: logs with at least so many positions that can be indexed, the longest waiting first; not those
-- whose columns are still to be filled in
SELECT heads.log, heads.filled, CAST(coalesce(done.indexed, 0) AS BIGINT)
FROM log_head AS heads LEFT JOIN index_heads AS done ON done.log = heads.log
WHERE heads.filled - coalesce(done.indexed, 0) >= $1
ORDER BY heads.filled - coalesce(done.indexed, 0) DESC, heads.log LIMIT $2
