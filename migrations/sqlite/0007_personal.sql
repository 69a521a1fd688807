-- Personal values beside the record, and requests to erase them. The twin of migrations/postgres/0007_personal.sql,
-- which explains each column.
ALTER TABLE events ADD COLUMN personal BLOB NOT NULL DEFAULT x'';

CREATE TABLE erasures (
    log             TEXT NOT NULL,
    request_id      BLOB NOT NULL,
    subject         TEXT,
    reason          TEXT NOT NULL,
    position        INTEGER,
    next            INTEGER NOT NULL,
    events_erased   INTEGER NOT NULL,
    values_erased   INTEGER NOT NULL,
    not_erasable    INTEGER NOT NULL,
    PRIMARY KEY (log, request_id)
) STRICT, WITHOUT ROWID;
