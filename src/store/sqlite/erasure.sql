-- erasure: a request to erase, and how far it is
SELECT subject, reason, position, next, events_erased, values_erased, not_erasable FROM erasures
WHERE log = $1 AND request_id = $2
