-- hold_place: a hold, unless it is there already
INSERT INTO legal_holds (log, hold_id, reason, placed_at, placed_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (log, hold_id) DO NOTHING
