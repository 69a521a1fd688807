-- erasure_propose: keeps a request to erase, unless one with its id is there
INSERT INTO erasures (log, request_id, subject, reason, next, events_erased, values_erased, not_erasable)
VALUES ($1, $2, $3, $4, 0, 0, 0, 0) ON CONFLICT (log, request_id) DO NOTHING
