-- extent: how far back a log reaches, and how many events it has had
SELECT oldest, size FROM log_head WHERE log = $1
