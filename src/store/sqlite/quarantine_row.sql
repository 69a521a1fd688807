-- quarantine_row: a row of the quarantine by key, discarded or not
SELECT received_at, producer, event_id, content_hash, reason, description, submitted,
    discarded_at, discarded_by, discard_reason
FROM quarantine WHERE log = $1 AND producer = $2 AND event_id = $3 AND content_hash = $4
