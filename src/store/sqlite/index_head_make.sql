-- index_head_make: a log of which nothing is indexed yet
INSERT INTO index_heads (log, indexed) VALUES ($1, 0) ON CONFLICT (log) DO NOTHING
