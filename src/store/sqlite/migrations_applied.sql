-- migrations_applied: numbers and checksums of the migrations that were applied
SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version
