-- unfilled: logs with rows whose columns are not all filled in
SELECT log FROM log_head WHERE filled < size ORDER BY log
