-- hold_release: a hold ends, unless it has
UPDATE legal_holds SET released_at = coalesce(released_at, $3), released_by = coalesce(released_by, $4)
WHERE log = $1 AND hold_id = $2
