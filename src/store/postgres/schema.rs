//! The schema of a PostgreSQL database: what was applied, and applying the rest. The rule is `store::schema`'s.
use std::sync::LazyLock;

use sqlx::{
    Connection as _, Executor as _, PgConnection,
    migrate::{Migrate as _, MigrateError, Migrator},
};

use super::{
    super::{
        StoreError,
        schema::{self, Applied, SchemaFault},
    },
    failed,
};

static MIGRATOR: LazyLock<Migrator> =
    LazyLock::new(|| schema::migrator(sqlx::migrate!("migrations/postgres")));

/// How long another program that migrates is waited for, and how long a migration may take, which reads a large table
/// through at most. A migration waits for appends and reads for as long as any statement may (`lock_timeout`), because
/// everything else waits behind it meanwhile.
const PATIENCE: &str = "SET LOCAL statement_timeout = '4h'; SET LOCAL lock_timeout = '4h'";
/// What `PATIENCE` was for is locked.
const IMPATIENCE: &str = "SET LOCAL lock_timeout = '10s'";

/// Checks that this program may run on the schema.
pub async fn ready(connection: &mut PgConnection) -> Result<(), StoreError> {
    Ok(applied(connection).await?.suits(&MIGRATOR)?)
}

/// Checks that a schema which takes programs made for `oldest` or newer takes this one.
pub fn allows(oldest: i64) -> Result<(), SchemaFault> {
    schema::takes(&MIGRATOR, oldest)
}

/// Applies what is missing, each migration in a transaction of its own, which begins with a lock: programs that migrate
/// at once take turns, and each looks again at what is left.
pub async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    let first = applied(connection).await?;
    first.allows(&MIGRATOR)?;
    if first.migrations.is_empty() {
        make_list(connection).await?;
    }
    loop {
        let mut transaction = connection.begin().await.map_err(failed)?;
        transaction.execute(PATIENCE).await.map_err(failed)?;
        sqlx::query(include_str!("lock_migrations.sql")).execute(&mut *transaction).await.map_err(failed)?;
        transaction.execute(IMPATIENCE).await.map_err(failed)?;
        let applied = applied(&mut transaction).await?;
        applied.allows(&MIGRATOR)?;
        let Some(next) = schema::next(&MIGRATOR, &applied) else {
            return transaction.rollback().await.map_err(failed);
        };
        MIGRATOR
            .run_direct(Some(next), &mut *transaction, false)
            .await
            .map_err(|error| schema::failed(error, failed))?;
        transaction.commit().await.map_err(failed)?;
    }
}

/// What the database says of its schema.
async fn applied(connection: &mut PgConnection) -> Result<Applied, StoreError> {
    let exist: bool = sqlx::query_scalar(include_str!("migrations_exist.sql"))
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let mut applied = Applied { migrations: [].into(), oldest: None };
    if exist {
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(include_str!("migrations_applied.sql"))
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        applied.migrations = rows.into_iter().collect();
    }
    if applied.migrations.contains_key(&schema::FLOOR_SINCE) {
        let oldest = sqlx::query_scalar(include_str!("schema_floor.sql")).fetch_one(connection).await;
        applied.oldest = Some(oldest.map_err(failed)?);
    }
    Ok(applied)
}

/// Makes the table that lists migrations. Of two programs that do so at once, one may be told that it is there: by the
/// names of the table and of its type.
async fn make_list(connection: &mut PgConnection) -> Result<(), StoreError> {
    let taken = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code());
        matches!(code.as_deref(), Some("23505" | "42P07" | "42710"))
    };
    match connection.ensure_migrations_table(&MIGRATOR.table_name).await {
        Err(MigrateError::Execute(error)) if taken(&error) => Ok(()),
        made => made.map_err(|error| schema::failed(error, failed)),
    }
}
