-- checkpoint_from: the smallest checkpoint with at least so many leaves
SELECT tree_size, root_hash, signed_note, signed_at FROM checkpoints
WHERE log = $1 AND tree_size >= $2 ORDER BY tree_size LIMIT 1
