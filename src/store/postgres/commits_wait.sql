-- commits_wait: whether the commits of this session wait until a standby has them
SELECT current_setting('synchronous_standby_names') <> ''
    AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
