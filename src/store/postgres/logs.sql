-- logs: the logs with events, and the sizes of their trees
SELECT log, tree_size FROM log_head WHERE size > 0 ORDER BY log
