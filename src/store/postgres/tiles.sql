-- tiles: the hashes of tiles. LIMIT keeps every tile a look-up of its own.
SELECT wanted.at, found.hashes
FROM unnest($2::smallint[], $3::bigint[]) WITH ORDINALITY AS wanted (level, tile, at)
CROSS JOIN LATERAL (
    SELECT hashes FROM tiles
    WHERE tiles.log = $1 AND tiles.level = wanted.level AND tiles.tile = wanted.tile LIMIT 1
) AS found
