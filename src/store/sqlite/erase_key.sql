-- erase_key: forgets the content of an event, from which erased values could be guessed
UPDATE event_keys SET content_hash = x'' WHERE log = $1 AND producer = $2 AND event_id = $3
