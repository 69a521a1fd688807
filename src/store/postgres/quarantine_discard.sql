-- quarantine_discard: marks rows of the quarantine as discarded, unless they are already. Locks in the
-- order of the key, as quarantine_live does.
WITH locked AS (
    SELECT kept.producer, kept.event_id, kept.content_hash
    FROM quarantine AS kept
    JOIN unnest($2::text[], $3::uuid[], $4::bytea[]) AS wanted (producer, event_id, content_hash)
        ON kept.producer = wanted.producer COLLATE "C" AND kept.event_id = wanted.event_id
            AND kept.content_hash = wanted.content_hash
    WHERE kept.log = $1 AND kept.discarded_at IS NULL
    ORDER BY kept.producer, kept.event_id, kept.content_hash
    FOR UPDATE OF kept
)
UPDATE quarantine AS kept SET discarded_at = $5, discarded_by = $6, discard_reason = $7
FROM locked
WHERE kept.log = $1 AND kept.producer = locked.producer AND kept.event_id = locked.event_id
    AND kept.content_hash = locked.content_hash
