-- tiles_add: keeps tiles that are not there
INSERT INTO tiles (log, level, tile, root, hashes)
SELECT $1, new.level, new.tile, new.root, new.hashes
FROM unnest($2::smallint[], $3::bigint[], $4::bytea[], $5::bytea[]) AS new (level, tile, root, hashes)
ON CONFLICT DO NOTHING
