-- erase_event: an event without some of its personal values, unless it has changed
UPDATE events SET personal = $4, actor = $5, subject = $6, device = $7, attributes = $8
WHERE log = $1 AND position = $2 AND personal = $3
