-- full_tiles: how many tiles of a level there are
SELECT tile + 1 FROM tiles WHERE log = $1 AND level = $2 ORDER BY tile DESC LIMIT 1
