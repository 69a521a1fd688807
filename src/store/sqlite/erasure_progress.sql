-- erasure_progress: how far a request to erase is, unless somebody else has moved it
UPDATE erasures SET next = $4, events_erased = events_erased + $5, values_erased = values_erased + $6,
    not_erasable = not_erasable + $7
WHERE log = $1 AND request_id = $2 AND next = $3
