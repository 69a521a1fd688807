-- The index of a log's positions and the rollup of its counts. The twin of
-- migrations/postgres/0005_index.sql, which explains each column.
CREATE TABLE index_heads (
    log     TEXT PRIMARY KEY,
    indexed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE index_runs (
    log      TEXT NOT NULL,
    level    INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    progress INTEGER NOT NULL,
    format   INTEGER NOT NULL,
    PRIMARY KEY (log, level, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_postings (
    log   TEXT NOT NULL,
    level INTEGER NOT NULL,
    first INTEGER NOT NULL,
    kind  INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    data  BLOB NOT NULL,
    PRIMARY KEY (log, level, first, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_zones (
    log          TEXT NOT NULL,
    first        INTEGER NOT NULL,
    next         INTEGER NOT NULL,
    min_occurred INTEGER NOT NULL,
    max_occurred INTEGER NOT NULL,
    min_received INTEGER NOT NULL,
    max_received INTEGER NOT NULL,
    PRIMARY KEY (log, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_counts (
    log      TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    family   INTEGER NOT NULL,
    code     TEXT NOT NULL,
    name     TEXT NOT NULL,
    category TEXT NOT NULL,
    outcome  INTEGER NOT NULL,
    producer TEXT NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (log, hour, family, code, name, category, outcome, producer)
) STRICT, WITHOUT ROWID;
