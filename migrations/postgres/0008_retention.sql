-- Retention: a log can have partitions of its own, of which the oldest are dropped. The table of events becomes one
-- that is partitioned by log; its former self holds every log without partitions of its own. Programs of older
-- schemas do not find the partitions any more, and fail to append: stop them before this runs.
ALTER TABLE log_head ADD COLUMN oldest BIGINT NOT NULL DEFAULT 0;   -- retention has removed what is below
ALTER TABLE log_head ADD COLUMN partition_bits SMALLINT;            -- its own partitions have 2^n positions; NULL: none

ALTER TABLE events RENAME TO events_shared;
ALTER INDEX events_pkey RENAME TO events_shared_pkey;
ALTER INDEX events_occurred RENAME TO events_shared_occurred;
CREATE TABLE events (LIKE events_shared INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
    PARTITION BY LIST (log);
ALTER TABLE events ADD CONSTRAINT events_pkey PRIMARY KEY (log, position);
CREATE INDEX events_occurred ON events (log, occurred_at, position);
ALTER TABLE events ATTACH PARTITION events_shared DEFAULT;

-- What keeps retention from removing anything of a log, for as long as it is not released.
CREATE TABLE legal_holds (
    log         TEXT COLLATE "C" NOT NULL,
    hold_id     UUID NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    placed_at   BIGINT NOT NULL,                -- microseconds since 1970
    placed_by   TEXT COLLATE "C" NOT NULL,
    released_at BIGINT,                         -- NULL: it holds
    released_by TEXT COLLATE "C",
    PRIMARY KEY (log, hold_id)
);
