-- sync_replica: whether commits wait for standbys, whether any is connected, and whether one of them is synchronous
SELECT
    current_setting('synchronous_standby_names') <> '',
    count(*) > 0,
    -- A role without pg_read_all_stats sees that there are standbys, and nothing of them.
    coalesce(bool_or(coalesce(sync_state IN ('sync', 'quorum'), true)), false)
FROM pg_stat_replication
