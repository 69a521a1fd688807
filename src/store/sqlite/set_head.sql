-- set_head: the size of a log after an append
INSERT INTO log_head (log, size) VALUES ($1, $2) ON CONFLICT (log) DO UPDATE SET size = excluded.size
