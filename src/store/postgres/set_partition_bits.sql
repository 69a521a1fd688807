-- set_partition_bits: says that a log has partitions of its own
UPDATE log_head SET partition_bits = $2 WHERE log = $1
