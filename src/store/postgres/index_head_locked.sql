-- index_head_locked: how far a log is indexed, locked until the end of the transaction
SELECT indexed FROM index_heads WHERE log = $1 FOR UPDATE
