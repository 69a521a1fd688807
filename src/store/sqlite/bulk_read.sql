-- bulk_read: every record of a log, in order
SELECT record, personal FROM events WHERE log = $1 ORDER BY position
