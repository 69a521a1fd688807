-- remove_events: some of the events below a position
DELETE FROM events WHERE log = $1 AND position < min($2, (
    SELECT coalesce(min(position), 0) FROM events WHERE log = $1
) + $3)
