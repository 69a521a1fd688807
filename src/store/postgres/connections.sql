-- connections: connections of this program, in whatever process, to the database
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'chancery%'
