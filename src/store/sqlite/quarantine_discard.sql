-- quarantine_discard: marks a row of the quarantine as discarded, unless it is already
UPDATE quarantine SET discarded_at = $5, discarded_by = $6, discard_reason = $7
WHERE log = $1 AND producer = $2 AND event_id = $3 AND content_hash = $4 AND discarded_at IS NULL
