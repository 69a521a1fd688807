-- fill_rows: what the records say
UPDATE events SET severity = told.severity, attributes = told.attributes
FROM unnest($4::bigint[], $5::bigint[], $6::text[]) AS told (position, severity, attributes)
WHERE events.log = $1 AND events.position >= $2 AND events.position < $3 AND events.position = told.position
