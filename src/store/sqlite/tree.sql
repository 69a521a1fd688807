-- tree: the tree of a log
SELECT tree_size, frontier FROM log_head WHERE log = $1
