//! The schema of a SQLite file: what was applied, and applying the rest. The rule is `store::schema`'s.
use std::sync::LazyLock;

use sqlx::{Connection as _, SqliteConnection, migrate::Migrator};

use super::{
    super::{
        StoreError,
        schema::{self, Applied},
    },
    failed,
};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| schema::migrator(sqlx::migrate!("migrations/sqlite")));

/// Checks that this program may run on the schema.
pub async fn ready(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    Ok(applied(connection).await?.suits(&MIGRATOR)?)
}

/// Applies what is missing, each migration in a transaction of its own that keeps every other writer away.
pub async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    loop {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
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

/// What the file says of its schema.
pub async fn applied(connection: &mut SqliteConnection) -> Result<Applied, StoreError> {
    let exist: i64 = sqlx::query_scalar(include_str!("migrations_exist.sql"))
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let mut applied = Applied { migrations: [].into(), oldest: None };
    if exist == 0 {
        let others: i64 = sqlx::query_scalar(include_str!("tables.sql"))
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if others > 0 {
            return Err(StoreError::Broken("the file is a database of something else".into()));
        }
    } else {
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
