-- make_head: a log without events
INSERT INTO log_head (log, size) VALUES ($1, 0) ON CONFLICT (log) DO NOTHING
