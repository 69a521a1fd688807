-- set_tree: the tree of a log that was behind its events
UPDATE log_head SET tree_size = $2, frontier = $3 WHERE log = $1
