-- head: number of events in a log
SELECT size FROM log_head WHERE log = $1
