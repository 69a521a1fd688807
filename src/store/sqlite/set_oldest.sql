-- set_oldest: where a log begins
UPDATE log_head SET oldest = $2 WHERE log = $1 AND oldest < $2
