-- filled: how far the columns of a log are filled in, and how far there are any
SELECT filled, size FROM log_head WHERE log = $1
