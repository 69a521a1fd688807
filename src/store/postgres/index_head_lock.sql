-- index_head_lock: how far a log is indexed, and nobody else may index it until the transaction ends
SELECT indexed FROM index_heads WHERE log = $1 FOR UPDATE NOWAIT
