-- The Merkle tree of every log (RFC 6962 over the leaf hashes), and what is derived from it. An append writes the
-- tree's edge into log_head; tiles and checkpoints are written behind the appends. Programs of older schemas keep
-- working and leave the edge where it is: the next append of a newer one, or `chancery migrate`, takes it on from
-- the leaf hashes. `chancery migrate` does so for the events that are there already.
ALTER TABLE log_head ADD COLUMN tree_size BIGINT NOT NULL DEFAULT 0;     -- leaves in the tree; size, save as above
ALTER TABLE log_head ADD COLUMN frontier BYTEA NOT NULL DEFAULT '';      -- src/tree/frontier.rs

-- Full tiles of 256 hashes (C2SP tlog-tiles, height 8). A tile never changes.
CREATE TABLE tiles (
    log    TEXT COLLATE "C" NOT NULL,
    level  SMALLINT NOT NULL,                   -- 0: of leaf hashes; then of the roots of 256 tiles below
    tile   BIGINT NOT NULL,                     -- number within the level
    root   BYTEA NOT NULL,                      -- of its 256 hashes: its entry in the level above
    hashes BYTEA NOT NULL,                      -- 8,192 bytes
    PRIMARY KEY (log, level, tile)
);
-- Hashes do not compress, and a look at many roots must not read them.
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Signed checkpoints (C2SP tlog-checkpoint).
CREATE TABLE checkpoints (
    log         TEXT COLLATE "C" NOT NULL,
    tree_size   BIGINT NOT NULL,
    root_hash   BYTEA NOT NULL,
    signed_note TEXT COLLATE "C" NOT NULL,      -- with the cosignatures of witnesses
    signed_at   BIGINT NOT NULL,                -- microseconds since 1970
    PRIMARY KEY (log, tree_size)
);
