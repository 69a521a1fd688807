-- leaf_hashes: the leaf hashes of a run of positions
SELECT leaf_hash FROM events WHERE log = $1 AND position >= $2 AND position < $3 ORDER BY position
