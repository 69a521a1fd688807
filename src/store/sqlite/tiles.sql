-- tiles: the hashes of tiles, named by a JSON array of levels and numbers. CROSS JOIN keeps them outermost.
SELECT wanted.key, tiles.hashes FROM json_each($2) AS wanted
CROSS JOIN tiles ON tiles.log = $1 AND tiles.level = wanted.value ->> 0 AND tiles.tile = wanted.value ->> 1
