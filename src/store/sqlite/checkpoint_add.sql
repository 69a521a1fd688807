-- checkpoint_add: keeps a checkpoint, unless there is one of its size
INSERT INTO checkpoints (log, tree_size, root_hash, signed_note, signed_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
