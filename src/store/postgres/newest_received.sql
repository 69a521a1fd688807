-- newest_received: when the newest event of each family of a run of positions was received
SELECT family, max(received_at) FROM events
WHERE log = $1 AND position >= $2 AND position < $3 GROUP BY family ORDER BY family
