-- quarantine_live: those rows that are still in quarantine and not discarded, locked until the end of the
-- transaction. In the order of the key, as quarantine_discard locks them, so that the two cannot deadlock.
SELECT kept.producer, kept.event_id, kept.content_hash
FROM quarantine AS kept
JOIN unnest($2::text[], $3::uuid[], $4::bytea[]) AS wanted (producer, event_id, content_hash)
    ON kept.producer = wanted.producer COLLATE "C" AND kept.event_id = wanted.event_id
        AND kept.content_hash = wanted.content_hash
WHERE kept.log = $1 AND kept.discarded_at IS NULL
ORDER BY kept.producer, kept.event_id, kept.content_hash
FOR UPDATE OF kept
