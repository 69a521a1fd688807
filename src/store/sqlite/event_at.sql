-- event_at: the event at a position
SELECT position, occurred_at, record, leaf_hash, personal FROM events WHERE log = $1 AND position = $2
