-- index_most_behind: positions that are not indexed, of the log with most of them
SELECT CAST(coalesce(max(heads.size - coalesce(done.indexed, 0)), 0) AS BIGINT)
FROM log_head AS heads LEFT JOIN index_heads AS done ON done.log = heads.log
