-- quarantine_live: whether a row is still in quarantine and not discarded
SELECT EXISTS (
    SELECT 1 FROM quarantine
    WHERE log = $1 AND producer = $2 AND event_id = $3 AND content_hash = $4 AND discarded_at IS NULL
)
