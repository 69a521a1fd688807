-- erasure_told: where the event of a request to erase is
UPDATE erasures SET position = $3 WHERE log = $1 AND request_id = $2 AND position IS NULL
