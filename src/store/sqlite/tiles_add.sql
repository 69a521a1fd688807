-- tiles_add: keeps tiles that are not there. Levels and numbers are a JSON array; roots and hashes lie one after
-- the other: one statement for all of them, and none that depends on their number.
INSERT INTO tiles (log, level, tile, root, hashes)
SELECT $1, new.value ->> 0, new.value ->> 1, substr($3, 1 + 32 * new.key, 32), substr($4, 1 + 8192 * new.key, 8192)
FROM json_each($2) AS new WHERE true
ON CONFLICT DO NOTHING
