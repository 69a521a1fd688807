//! Pools of connections that many requests share, each for one short statement at a time.
//!
//! Names nothing of the crate: `tests/it/faults/cancelled_begin.rs` compiles this file as its own, to
//! break what it protects from.
use std::time::Duration;

use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Ends a transaction that nobody knows of. Where there is none, as there should be, a ROLLBACK alone would
/// fill PostgreSQL's log with warnings.
const OUT_OF_TRANSACTION: &str = "BEGIN; ROLLBACK";

/// Raises a `synchronous_commit` that is too weak, and leaves stronger ones alone.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Keeps values out of the server's log, where the role may: bind values, and plans, which hold them too. What it may
/// not do is not tried, because the server would log that.
pub const QUIET: &str = "SELECT set_config(name, value, false)
    FROM (VALUES ('log_parameter_max_length', '0'), ('auto_explain.log_min_duration', '-1')) AS quiet (name, value)
    WHERE current_setting(name, true) IS NOT NULL AND has_parameter_privilege(name, 'SET')";

/// A pool of this many connections at most; a request waits for one this long.
pub async fn pool(
    (connections, wait): (u32, Duration),
    options: PgConnectOptions,
) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(wait)
        // What a request writes is as durable as an append (`append::insist_on_durability`).
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(DURABLE).await?;
                connection.execute(QUIET).await?;
                Ok(())
            })
        })
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
