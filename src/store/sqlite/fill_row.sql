-- fill_row: what a record says
UPDATE events SET severity = $3, attributes = $4 WHERE log = $1 AND position = $2
