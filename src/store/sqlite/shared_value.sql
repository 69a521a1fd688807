-- shared_value: a value that all replicas share
SELECT value FROM shared_values WHERE name = $1
