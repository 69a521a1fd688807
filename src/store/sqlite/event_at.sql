-- event_at: the event at a position, unless retention has removed it
SELECT position, occurred_at, record, leaf_hash, personal FROM events
WHERE log = $1 AND position = $2 AND position >= (SELECT oldest FROM log_head WHERE log = $1)
