-- cancel: has a session end what it waits for; a commit that waits for a standby stays committed
SELECT pg_cancel_backend($1)
