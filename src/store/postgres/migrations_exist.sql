-- migrations_exist: whether anything was ever migrated here
SELECT to_regclass('_sqlx_migrations') IS NOT NULL
