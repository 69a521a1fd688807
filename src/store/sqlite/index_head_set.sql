-- index_head_set: how far a log is indexed
UPDATE index_heads SET indexed = $2 WHERE log = $1
