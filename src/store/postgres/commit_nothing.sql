-- commit_nothing: a commit that waits for the disk, of a message in the WAL that stands for nothing
SELECT pg_logical_emit_message(true, 'chancery doctor', '')::text
