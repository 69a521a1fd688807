-- schema_version: version of the newest migration that was applied
SELECT max(version) FROM _sqlx_migrations WHERE success
