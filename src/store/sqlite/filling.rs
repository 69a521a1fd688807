//! Fills in columns of a later schema: see `store::filling`.
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::{
    super::{
        StoreError,
        filling::{BATCH, Filling, LEAVES},
        from_sql, to_sql,
    },
    append, failed,
};

/// Fills in what is missing in any log.
pub async fn fill(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let logs: Vec<String> =
        sqlx::query_scalar(include_str!("unfilled.sql")).fetch_all(&mut *connection).await.map_err(failed)?;
    for log in logs {
        while batch(connection, &log).await? {}
    }
    let logs: Vec<String> =
        sqlx::query_scalar(include_str!("treeless.sql")).fetch_all(&mut *connection).await.map_err(failed)?;
    for log in logs {
        while leaves(connection, &log).await? {}
    }
    Ok(())
}

/// Takes the next leaf hashes of a log into its tree; false when none are left.
async fn leaves(connection: &mut SqliteConnection, log: &str) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let head = sqlx::query(include_str!("head_tree.sql"))
        .bind(log)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let (size, tree) = (from_sql(head.try_get(0).map_err(failed)?)?, append::tree(&head, 1)?);
    let positions = tree.size()..size.min(tree.size() + LEAVES);
    let tree = tree.extended(&append::leaf_hashes(&mut transaction, log, positions).await?);
    sqlx::query(include_str!("set_tree.sql"))
        .bind(log)
        .bind(to_sql(tree.size()))
        .bind(tree.bytes())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(tree.size() < size)
}

/// Fills in the next rows of a log; false when none are left.
async fn batch(connection: &mut SqliteConnection, log: &str) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let head = sqlx::query(include_str!("filled.sql"))
        .bind(log)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let (from, size): (i64, i64) = (head.try_get(0).map_err(failed)?, head.try_get(1).map_err(failed)?);
    let to = size.min(from + BATCH);
    let rows = sqlx::query(include_str!("unfilled_rows.sql"))
        .bind(log)
        .bind(from)
        .bind(to)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    for row in &rows {
        let bytes = |at: usize| row.try_get::<&[u8], _>(at).map_err(failed);
        let filling = Filling::of(row.try_get(0).map_err(failed)?, bytes(1)?, bytes(2)?)?;
        sqlx::query(include_str!("fill_row.sql"))
            .bind(log)
            .bind(filling.position)
            .bind(filling.severity)
            .bind(filling.attributes)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    sqlx::query(include_str!("set_filled.sql"))
        .bind(log)
        .bind(to)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(to < size)
}
