-- partition_attached: whether a table of this name is a partition of events
SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'events'::regclass AND inhrelid = to_regclass($1))
