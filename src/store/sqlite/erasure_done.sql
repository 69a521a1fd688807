-- erasure_done: forgets whom a request to erase was about
UPDATE erasures SET subject = NULL WHERE log = $1 AND request_id = $2
