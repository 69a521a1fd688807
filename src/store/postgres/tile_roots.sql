-- tile_roots: the roots of a run of tiles
SELECT tile, root FROM tiles WHERE log = $1 AND level = $2 AND tile >= $3 AND tile < $4 ORDER BY tile
