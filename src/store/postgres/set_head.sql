-- set_head: the size of a log after an append
UPDATE log_head SET size = $2 WHERE log = $1
