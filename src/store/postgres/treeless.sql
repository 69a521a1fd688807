-- treeless: logs with events that are not in their tree
SELECT log FROM log_head WHERE tree_size < size ORDER BY log
