-- quarantine_rows: rows of the quarantine by key, discarded or not
SELECT found.*
FROM unnest($2::text[], $3::uuid[], $4::bytea[]) AS wanted (producer, event_id, content_hash)
CROSS JOIN LATERAL (
    SELECT received_at, producer, event_id, content_hash, reason, description, submitted,
        discarded_at, discarded_by, discard_reason
    FROM quarantine
    WHERE log = $1 AND producer = wanted.producer COLLATE "C" AND event_id = wanted.event_id
        AND content_hash = wanted.content_hash
) AS found
