-- index_rows_add: rows of a run
INSERT INTO index_postings (log, level, first, kind, key, data)
SELECT $1, $2, $3, unnest($4::smallint[]), unnest($5::bigint[]), unnest($6::bytea[])
