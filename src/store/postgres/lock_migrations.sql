-- lock_migrations: keeps other programs from migrating until the transaction ends; reading goes on
LOCK TABLE _sqlx_migrations IN SHARE ROW EXCLUSIVE MODE
