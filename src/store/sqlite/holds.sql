-- holds: the holds of a log
SELECT hold_id, reason, placed_at, placed_by, released_at, released_by FROM legal_holds
WHERE log = $1 ORDER BY placed_at, hold_id
