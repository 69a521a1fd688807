-- quarantined_mentions: rows of the quarantine whose event holds a text
SELECT count(*) FROM quarantine WHERE log = $1 AND position($2::bytea IN submitted) > 0
