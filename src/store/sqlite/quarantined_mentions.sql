-- quarantined_mentions: rows of the quarantine whose event holds a text
SELECT count(*) FROM quarantine WHERE log = $1 AND instr(submitted, $2) > 0
