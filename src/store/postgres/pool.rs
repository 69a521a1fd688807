//! Pools of connections that many requests share, each for one short statement at a time.
//!
//! Names nothing of the crate: `tests/it/faults/cancelled_begin.rs` compiles this file as its own, to
//! break what it protects from.
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{
    Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Ends a transaction that nobody knows of. Where there is none, as there should be, a ROLLBACK alone would
/// fill PostgreSQL's log with warnings.
const OUT_OF_TRANSACTION: &str = "BEGIN; ROLLBACK";

/// A pool of this many connections at most; a request waits for one this long. Each is `opened` before it is used.
pub async fn pool(
    (connections, wait): (u32, Duration),
    options: PgConnectOptions,
    opened: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>>
    + Send
    + Sync
    + 'static,
) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(wait)
        .after_connect(move |connection, _| opened(connection))
        // A dropped request can leave a connection inside a transaction that sqlx does not know of
        // (sqlx 0.9.0); the next user's statements would then vanish with it.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.execute(OUT_OF_TRANSACTION).await?;
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}
