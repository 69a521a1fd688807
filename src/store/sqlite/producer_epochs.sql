-- producer_epochs: the highest epochs of a producer
SELECT epoch, first_sequence, last_sequence, seen, repeated, gaps, first_seen, last_seen FROM producer_epochs
WHERE log = $1 AND producer = $2 ORDER BY epoch DESC LIMIT $3
