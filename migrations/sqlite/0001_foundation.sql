-- The first schema. Its twin is migrations/postgres/0001_foundation.sql, which explains each column.
-- STRICT: SQLite then refuses a value of another type instead of storing it.

CREATE TABLE log_head (
    log  TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0)
) STRICT, WITHOUT ROWID;

-- WITHOUT ROWID: the rows lie in the order of the key, so an append writes one tree, and a page of a
-- query is one run of it.
CREATE TABLE events (
    log            TEXT NOT NULL,
    position       INTEGER NOT NULL CHECK (position >= 0),
    record         BLOB NOT NULL,
    leaf_hash      BLOB NOT NULL,
    family         INTEGER NOT NULL,
    code           TEXT NOT NULL,
    name           TEXT NOT NULL,
    category       TEXT NOT NULL,
    outcome        INTEGER NOT NULL,
    producer       TEXT NOT NULL,
    actor          TEXT NOT NULL,
    subject        TEXT NOT NULL,
    device         TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    occurred_at    INTEGER NOT NULL,
    received_at    INTEGER NOT NULL,
    attributes     TEXT NOT NULL,
    PRIMARY KEY (log, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_occurred ON events (log, occurred_at, position);

CREATE TABLE event_keys (
    log          TEXT NOT NULL,
    producer     TEXT NOT NULL,
    event_id     BLOB NOT NULL,
    position     INTEGER NOT NULL,
    content_hash BLOB NOT NULL,
    PRIMARY KEY (log, producer, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    log          TEXT NOT NULL,
    producer     TEXT NOT NULL,
    event_id     BLOB NOT NULL,
    content_hash BLOB NOT NULL,
    received_at  INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    description  TEXT NOT NULL,
    submitted    BLOB NOT NULL,
    PRIMARY KEY (log, producer, event_id, content_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE shared_values (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
