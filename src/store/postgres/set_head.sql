-- set_head: the size of a log after a bulk load
UPDATE log_head SET size = $2 WHERE log = $1
