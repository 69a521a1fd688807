-- checkpoint_replace: replaces a checkpoint by another one of its size, unless its note is not the expected one
UPDATE checkpoints SET root_hash = $3, signed_note = $4, signed_at = $5
WHERE log = $1 AND tree_size = $2 AND signed_note = $6
