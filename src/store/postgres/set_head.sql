-- set_head: the size of a log and its tree after a bulk load
UPDATE log_head SET size = $2, tree_size = $2, frontier = $3,
    filled = CASE WHEN filled = size THEN $2 ELSE filled END
WHERE log = $1
