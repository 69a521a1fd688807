-- set_filled: how far the columns of a log are filled in
UPDATE log_head SET filled = $2 WHERE log = $1
