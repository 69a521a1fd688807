-- down: the moment so many events down from another one
SELECT occurred_at, position FROM events
WHERE log = $1 AND (occurred_at, position) < ($2, $3) AND (occurred_at, position) >= ($4, 0)
ORDER BY occurred_at DESC, position DESC LIMIT 1 OFFSET $5
