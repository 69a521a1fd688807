-- lock_head: number of events in a log, locked until the end of the transaction
SELECT size FROM log_head WHERE log = $1 FOR UPDATE
