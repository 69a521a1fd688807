-- producer_gaps: the highest gaps of a producer
SELECT epoch, from_sequence, to_sequence, seen_at FROM producer_gaps
WHERE log = $1 AND producer = $2 ORDER BY epoch DESC, from_sequence DESC LIMIT $3
