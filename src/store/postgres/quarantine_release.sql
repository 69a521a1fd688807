-- quarantine_release: takes rows out of the quarantine whose events are in the log
DELETE FROM quarantine AS kept
USING unnest($2::text[], $3::uuid[], $4::bytea[]) AS wanted (producer, event_id, content_hash)
WHERE kept.log = $1 AND kept.producer = wanted.producer COLLATE "C" AND kept.event_id = wanted.event_id
    AND kept.content_hash = wanted.content_hash
