-- set_head: the size of a log after an append, whose rows have all columns
INSERT INTO log_head (log, size, filled) VALUES ($1, $2, $2) ON CONFLICT (log) DO UPDATE SET
    filled = CASE WHEN filled = size THEN excluded.size ELSE filled END, size = excluded.size
