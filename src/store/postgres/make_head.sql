-- make_head: the head of a new log
INSERT INTO log_head (log, size) VALUES ($1, 0) ON CONFLICT (log) DO NOTHING
