-- The Merkle tree of every log, and what is derived from it. The twin of migrations/postgres/0006_tree.sql, which
-- explains it.
ALTER TABLE log_head ADD COLUMN tree_size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN frontier BLOB NOT NULL DEFAULT x'';

-- root stands before hashes, so that reading it reads no overflow page.
CREATE TABLE tiles (
    log    TEXT NOT NULL,
    level  INTEGER NOT NULL,
    tile   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (log, level, tile)
) STRICT;

CREATE TABLE checkpoints (
    log         TEXT NOT NULL,
    tree_size   INTEGER NOT NULL,
    root_hash   BLOB NOT NULL,
    signed_note TEXT NOT NULL,
    signed_at   INTEGER NOT NULL,
    PRIMARY KEY (log, tree_size)
) STRICT;
