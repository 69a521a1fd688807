-- set_head: the size of a log after a bulk load
UPDATE log_head SET size = $2, filled = CASE WHEN filled = size THEN $2 ELSE filled END WHERE log = $1
