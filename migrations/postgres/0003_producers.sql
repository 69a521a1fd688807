-- What is known of each producer: how much of its events is stored, when it was last seen, and which of its
-- numbers are missing. Written in the transaction of the events, so it is exact. Programs of older schemas
-- keep working but do not count: what they append once this has run is missing here, and their events'
-- numbers look lost.

-- Every append updates its producers, so the fill factor leaves room for heap-only tuples.
CREATE TABLE producers (
    log           TEXT COLLATE "C" NOT NULL,
    producer      TEXT COLLATE "C" NOT NULL,
    first_seen    BIGINT NOT NULL,              -- microseconds since 1970; so for every time below
    last_seen     BIGINT NOT NULL,
    last_position BIGINT,                       -- of its newest event; NULL: none is stored
    events        BIGINT NOT NULL,              -- its events in the log
    quarantined   BIGINT NOT NULL,              -- its events in quarantine, discarded ones too
    PRIMARY KEY (log, producer)
) WITH (fillfactor = 50);

-- The runs of its numbering. Every number from the first to the last is seen or inside a gap.
CREATE TABLE producer_epochs (
    log            TEXT COLLATE "C" NOT NULL,
    producer       TEXT COLLATE "C" NOT NULL,
    epoch          BIGINT NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence  BIGINT NOT NULL,
    seen           BIGINT NOT NULL,             -- numbers seen, each once
    repeated       BIGINT NOT NULL,             -- events whose number had been seen before
    gaps           BIGINT NOT NULL,             -- its rows in producer_gaps
    first_seen     BIGINT NOT NULL,
    last_seen      BIGINT NOT NULL,
    PRIMARY KEY (log, producer, epoch)
) WITH (fillfactor = 50);

-- Numbers that were not seen, both ends included. No two rows of an epoch touch.
CREATE TABLE producer_gaps (
    log           TEXT COLLATE "C" NOT NULL,
    producer      TEXT COLLATE "C" NOT NULL,
    epoch         BIGINT NOT NULL,
    from_sequence BIGINT NOT NULL,
    to_sequence   BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,              -- when numbers on both sides of it had been seen
    PRIMARY KEY (log, producer, epoch, from_sequence)
);

-- What is there already. Numbers are inside the records, so epochs begin with the next events. A large log
-- takes longer than a statement of the server may.
SET LOCAL statement_timeout = 0;
INSERT INTO producers (log, producer, first_seen, last_seen, last_position, events, quarantined)
SELECT log, producer, min(first_seen), max(last_seen), max(last_position),
    CAST(sum(events) AS BIGINT), CAST(sum(quarantined) AS BIGINT)
FROM (
    SELECT log, producer, min(received_at) AS first_seen, max(received_at) AS last_seen,
        max(position) AS last_position, count(*) AS events, 0 AS quarantined
    FROM events GROUP BY log, producer
    UNION ALL
    SELECT log, producer, min(received_at), max(received_at), NULL, 0, count(*)
    FROM quarantine GROUP BY log, producer
) AS found
GROUP BY log, producer;
