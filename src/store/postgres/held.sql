-- held: whether a hold is on a log
SELECT EXISTS (SELECT 1 FROM legal_holds WHERE log = $1 AND released_at IS NULL)
