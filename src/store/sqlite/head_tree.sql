-- head_tree: number of events in a log, and its tree
SELECT size, tree_size, frontier FROM log_head WHERE log = $1
