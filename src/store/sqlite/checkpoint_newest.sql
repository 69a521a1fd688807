-- checkpoint_newest: the largest checkpoint of a log
SELECT tree_size, root_hash, signed_note, signed_at FROM checkpoints
WHERE log = $1 ORDER BY tree_size DESC LIMIT 1
