-- set_head: the size of a log and its tree after an append, whose rows have all columns
INSERT INTO log_head (log, size, filled, tree_size, frontier) VALUES ($1, $2, $2, $2, $3)
ON CONFLICT (log) DO UPDATE SET
    filled = CASE WHEN filled = size THEN excluded.size ELSE filled END, size = excluded.size,
    tree_size = excluded.tree_size, frontier = excluded.frontier
