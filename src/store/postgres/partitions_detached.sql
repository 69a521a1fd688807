-- partitions_detached: tables that were partitions of a log's own table, with numbers below one
SELECT CAST(part.relname AS TEXT) FROM pg_class AS part
WHERE part.relkind = 'r' AND part.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1))
    AND part.relname ~ ('^' || $1 || '_p[0-9]+$')
    AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = part.oid)
    AND CAST(substring(part.relname FROM '_p([0-9]+)$') AS BIGINT) < $2
