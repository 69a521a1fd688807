-- heads: numbers of events in logs
SELECT log, size FROM log_head WHERE log = ANY($1)
