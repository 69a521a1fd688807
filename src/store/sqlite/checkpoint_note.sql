-- checkpoint_note: replaces the note of a checkpoint by one with further cosignatures
UPDATE checkpoints SET signed_note = $3 WHERE log = $1 AND tree_size = $2
