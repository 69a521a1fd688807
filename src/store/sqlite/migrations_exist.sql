-- migrations_exist: whether anything was ever migrated here
SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'
