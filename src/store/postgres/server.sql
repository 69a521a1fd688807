-- server: what a server says of itself, and of how it commits
SELECT
    pg_backend_pid() AS session,
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS version_number,
    current_setting('server_encoding') AS encoding,
    pg_is_in_recovery() AS recovering,
    current_setting('default_transaction_read_only')::boolean AS read_only,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('fsync')::boolean AS fsync,
    current_setting('full_page_writes')::boolean AS full_page_writes,
    current_setting('synchronous_standby_names') AS standbys
