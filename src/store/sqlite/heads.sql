-- heads: numbers of events in logs, named by a JSON array
SELECT log, size FROM log_head WHERE log IN (SELECT value FROM json_each($1))
