-- sync_commit: writes a record that says nothing, whose commit a synchronous standby confirms
SELECT 1 FROM pg_logical_emit_message(true, 'chancery', '')
