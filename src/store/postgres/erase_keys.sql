-- erase_keys: forgets the content of events, from which erased values could be guessed
UPDATE event_keys AS kept SET content_hash = ''
FROM unnest($2::text[], $3::uuid[]) AS wanted (producer, event_id)
WHERE kept.log = $1 AND kept.producer = wanted.producer COLLATE "C" AND kept.event_id = wanted.event_id
