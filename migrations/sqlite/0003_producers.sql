-- What is known of each producer: how much of its events is stored, when it was last seen, and which of its
-- numbers are missing. The twin of migrations/postgres/0003_producers.sql, which explains each column.
CREATE TABLE producers (
    log           TEXT NOT NULL,
    producer      TEXT NOT NULL,
    first_seen    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    last_position INTEGER,
    events        INTEGER NOT NULL,
    quarantined   INTEGER NOT NULL,
    PRIMARY KEY (log, producer)
) STRICT, WITHOUT ROWID;

CREATE TABLE producer_epochs (
    log            TEXT NOT NULL,
    producer       TEXT NOT NULL,
    epoch          INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    seen           INTEGER NOT NULL,
    repeated       INTEGER NOT NULL,
    gaps           INTEGER NOT NULL,
    first_seen     INTEGER NOT NULL,
    last_seen      INTEGER NOT NULL,
    PRIMARY KEY (log, producer, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE producer_gaps (
    log           TEXT NOT NULL,
    producer      TEXT NOT NULL,
    epoch         INTEGER NOT NULL,
    from_sequence INTEGER NOT NULL,
    to_sequence   INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    PRIMARY KEY (log, producer, epoch, from_sequence)
) STRICT, WITHOUT ROWID;

INSERT INTO producers (log, producer, first_seen, last_seen, last_position, events, quarantined)
SELECT log, producer, min(first_seen), max(last_seen), max(last_position), sum(events), sum(quarantined)
FROM (
    SELECT log, producer, min(received_at) AS first_seen, max(received_at) AS last_seen,
        max(position) AS last_position, count(*) AS events, 0 AS quarantined
    FROM events GROUP BY log, producer
    UNION ALL
    SELECT log, producer, min(received_at), max(received_at), NULL, 0, count(*)
    FROM quarantine GROUP BY log, producer
) AS found
GROUP BY log, producer;
