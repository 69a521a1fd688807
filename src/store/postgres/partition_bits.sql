-- partition_bits: the size of a log's own partitions
SELECT partition_bits FROM log_head WHERE log = $1
