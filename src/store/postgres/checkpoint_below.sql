-- checkpoint_below: the largest checkpoint of a log with fewer leaves
SELECT tree_size, root_hash, signed_note, signed_at FROM checkpoints
WHERE log = $1 AND tree_size < $2 ORDER BY tree_size DESC LIMIT 1
