-- The first schema. Portable on purpose: no triggers, no sequences, no advisory locks; log is the first
-- column of every key, so that a log's head, events and keys can share a shard. Its twin is
-- migrations/sqlite/0001_foundation.sql.

-- One row per log. Locked by every append until its commit, so commit order is position order. The
-- fill factor keeps its many updates on one page (heap-only tuples).
CREATE TABLE log_head (
    log  TEXT COLLATE "C" PRIMARY KEY,
    size BIGINT NOT NULL CHECK (size >= 0)      -- events in the log; the next position
) WITH (fillfactor = 10);

-- The events. Partitioned by position so that retention drops partitions and never deletes rows;
-- appends create the partitions (store/postgres/partitions.rs).
CREATE TABLE events (
    log            TEXT COLLATE "C" NOT NULL,
    position       BIGINT NOT NULL CHECK (position >= 0),
    record         BYTEA NOT NULL,              -- the exact bytes that were hashed
    leaf_hash      BYTEA NOT NULL,              -- SHA-256(0x00 || record)
    family         SMALLINT NOT NULL,           -- chancery.v1.EventFamily
    code           TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    category       TEXT COLLATE "C" NOT NULL,
    outcome        SMALLINT NOT NULL,           -- chancery.v1.Outcome
    producer       TEXT COLLATE "C" NOT NULL,
    actor          TEXT COLLATE "C" NOT NULL,   -- empty: not told; so for the next three
    subject        TEXT COLLATE "C" NOT NULL,
    device         TEXT COLLATE "C" NOT NULL,
    correlation_id TEXT COLLATE "C" NOT NULL,
    occurred_at    BIGINT NOT NULL,             -- microseconds since 1970
    received_at    BIGINT NOT NULL,             -- microseconds since 1970
    attributes     TEXT COLLATE "C" NOT NULL,   -- names and values, see event::attribute_text
    PRIMARY KEY (log, position)
) PARTITION BY RANGE (position);

CREATE INDEX events_occurred ON events (log, occurred_at, position);

-- Idempotency: one row per stored event. Its own table, because a unique key of a partitioned table
-- must contain the partition key.
CREATE TABLE event_keys (
    log          TEXT COLLATE "C" NOT NULL,
    producer     TEXT COLLATE "C" NOT NULL,
    event_id     UUID NOT NULL,
    position     BIGINT NOT NULL,
    content_hash BYTEA NOT NULL,                -- SHA-256 of the submitted event without secrets
    PRIMARY KEY (log, producer, event_id)
);

-- Events that the catalog refused, kept until they are replayed or discarded.
CREATE TABLE quarantine (
    log          TEXT COLLATE "C" NOT NULL,
    producer     TEXT COLLATE "C" NOT NULL,
    event_id     UUID NOT NULL,
    content_hash BYTEA NOT NULL,
    received_at  BIGINT NOT NULL,               -- microseconds since 1970
    reason       TEXT COLLATE "C" NOT NULL,     -- UNKNOWN_EVENT_CODE, CATALOG_VIOLATION
    description  TEXT COLLATE "C" NOT NULL,
    submitted    BYTEA NOT NULL,                -- chancery.v1.NewEvent without secrets
    PRIMARY KEY (log, producer, event_id, content_hash)
);

-- Values that all replicas share, by name.
CREATE TABLE shared_values (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL
);
