-- partition_attached: whether a table of this name is a partition of another
SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass($1) AND inhrelid = to_regclass($2))
