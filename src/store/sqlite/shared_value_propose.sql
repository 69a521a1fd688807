-- shared_value_propose: stores a value that all replicas share, unless one is there
INSERT INTO shared_values (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING
