-- Personal values beside the record. Records of version 2 hold commitments to them, so that they can be erased; those of
-- version 1 hold the values themselves, and what lies beside them is empty. Programs of older schemas keep appending
-- records of version 1, and read newer ones without their personal values: let none of them run for longer than a
-- rollout takes. Its twin is migrations/sqlite/0007_personal.sql.
ALTER TABLE events ADD COLUMN personal BYTEA NOT NULL DEFAULT '';     -- src/event/personal.rs

-- Requests to erase a person's values. What a request names stays until it is done, so that one that was interrupted
-- can be continued.
CREATE TABLE erasures (
    log             TEXT COLLATE "C" NOT NULL,
    request_id      UUID NOT NULL,              -- also the id of the event that tells of it
    subject         TEXT COLLATE "C",           -- NULL once it is done
    reason          TEXT COLLATE "C" NOT NULL,
    position        BIGINT,                     -- of the event that tells of it; NULL: not appended yet
    next            BIGINT NOT NULL,            -- everything below is done
    events_erased   BIGINT NOT NULL,
    values_erased   BIGINT NOT NULL,
    not_erasable    BIGINT NOT NULL,
    PRIMARY KEY (log, request_id)
);
