-- The index of a log's positions and the rollup of its counts, both built behind the append path from the
-- events that are there, so that appends write none of it. Older programs neither read nor write these
-- tables. Its twin is migrations/sqlite/0005_index.sql.

-- How far a log is indexed: every position below. Locked by whoever works on the index of the log.
CREATE TABLE index_heads (
    log     TEXT COLLATE "C" PRIMARY KEY,
    indexed BIGINT NOT NULL
) WITH (fillfactor = 50);

-- The runs of an index: see src/index/chores.rs. Live ones cover what is indexed, each position once.
CREATE TABLE index_runs (
    log      TEXT COLLATE "C" NOT NULL,
    level    SMALLINT NOT NULL,                 -- 2^level positions...
    first    BIGINT NOT NULL,                   -- ...from this on
    state    SMALLINT NOT NULL,                 -- 0 building, 1 live, 2 gone
    progress BIGINT NOT NULL,                   -- building: buckets merged; gone: buckets deleted
    format   SMALLINT NOT NULL,                 -- src/index/mod.rs
    PRIMARY KEY (log, level, first)
) WITH (fillfactor = 50);

-- The rows of the runs: see src/index/run.rs.
CREATE TABLE index_postings (
    log   TEXT COLLATE "C" NOT NULL,
    level SMALLINT NOT NULL,
    first BIGINT NOT NULL,
    kind  SMALLINT NOT NULL,                    -- 0 a bucket of terms, 1 one term
    key   BIGINT NOT NULL,
    data  BYTEA NOT NULL,
    PRIMARY KEY (log, level, first, kind, key)
);
-- Hashes and distances do not compress. Rows of up to 8 KB stay in their page: a look-up then reads one.
ALTER TABLE index_postings ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE index_postings SET (toast_tuple_target = 8160);

-- Span of time of every segment that is indexed. Of one without events the minimum is above the maximum.
CREATE TABLE index_zones (
    log          TEXT COLLATE "C" NOT NULL,
    first        BIGINT NOT NULL,
    next         BIGINT NOT NULL,               -- first position behind the segment
    min_occurred BIGINT NOT NULL,               -- microseconds since 1970; so for the next three
    max_occurred BIGINT NOT NULL,
    min_received BIGINT NOT NULL,
    max_received BIGINT NOT NULL,
    PRIMARY KEY (log, first)
);

-- Counts of all events that are indexed.
CREATE TABLE event_counts (
    log      TEXT COLLATE "C" NOT NULL,
    hour     BIGINT NOT NULL,                   -- of the time of the event: hours since 1970
    family   SMALLINT NOT NULL,
    code     TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    category TEXT COLLATE "C" NOT NULL,
    outcome  SMALLINT NOT NULL,
    producer TEXT COLLATE "C" NOT NULL,
    count    BIGINT NOT NULL,
    PRIMARY KEY (log, hour, family, code, name, category, outcome, producer)
) WITH (fillfactor = 70);
