-- session: the number that the database gives this session
SELECT pg_backend_pid()
