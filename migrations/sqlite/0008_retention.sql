-- Retention. The twin of migrations/postgres/0008_retention.sql, which explains it; here the events below the oldest
-- are deleted, in small steps.
ALTER TABLE log_head ADD COLUMN oldest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN partition_bits INTEGER;

CREATE TABLE legal_holds (
    log         TEXT NOT NULL,
    hold_id     BLOB NOT NULL,
    reason      TEXT NOT NULL,
    placed_at   INTEGER NOT NULL,
    placed_by   TEXT NOT NULL,
    released_at INTEGER,
    released_by TEXT,
    PRIMARY KEY (log, hold_id)
) STRICT;
