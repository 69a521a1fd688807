-- figures: bytes of the database, version of its schema, and positions until the newest partition of a log is full,
-- of the log with fewest among those whose partitions are made well ahead
WITH parts AS (
    SELECT link.inhparent AS parent, max(CAST(substring(part.relname FROM '_p([0-9]+)$') AS BIGINT)) AS newest
    FROM pg_inherits AS link JOIN pg_class AS part ON part.oid = link.inhrelid
    GROUP BY link.inhparent
)
SELECT
    pg_database_size(current_database()),
    (SELECT max(version) FROM _sqlx_migrations WHERE success),
    (
        SELECT min(((parts.newest + 1) << CAST(coalesce(head.partition_bits, $1) AS INTEGER)) - head.size)
        FROM log_head AS head JOIN parts ON parts.parent = to_regclass(
            CASE WHEN head.partition_bits IS NULL THEN 'events_shared'
            ELSE 'events_log_' || left(encode(sha256(convert_to(head.log, 'UTF8')), 'hex'), 16) END
        )
        WHERE coalesce(head.partition_bits, $1) >= $2
    )
