-- checkpoint_at: the checkpoint with so many leaves
SELECT tree_size, root_hash, signed_note, signed_at FROM checkpoints WHERE log = $1 AND tree_size = $2
