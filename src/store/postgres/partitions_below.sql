-- partitions_below: the partitions of a log's own table with numbers below one, and whether they are half detached
SELECT CAST(part.relname AS TEXT), link.inhdetachpending
FROM pg_inherits AS link JOIN pg_class AS part ON part.oid = link.inhrelid
WHERE link.inhparent = to_regclass($1)
    AND CAST(substring(part.relname FROM '_p([0-9]+)$') AS BIGINT) < $2
ORDER BY CAST(substring(part.relname FROM '_p([0-9]+)$') AS BIGINT)
