-- lock_partitions: the size of a log's own partitions, and of the log, locked until the end of the transaction
SELECT partition_bits, size FROM log_head WHERE log = $1 FOR UPDATE
