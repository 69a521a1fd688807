-- index_head: how far a log is indexed
SELECT indexed FROM index_heads WHERE log = $1
