-- quarantine_release: takes a row out of the quarantine whose event is in the log
DELETE FROM quarantine WHERE log = $1 AND producer = $2 AND event_id = $3 AND content_hash = $4
