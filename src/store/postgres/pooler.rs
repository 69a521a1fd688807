//! Refuses a pooler that gives each transaction another session of the database, as pgbouncer's `pool_mode =
//! transaction` does. A statement is prepared and run in two steps, and in between such a pooler may hand the session
//! to somebody else, whose statement then runs instead: a wrong answer, without an error. Called for every connection
//! before it is used, because a pooler may be put in between at any time.
//!
//! What is not looked at: names, ports, versions, or whether the session looks the same twice, which it does when
//! nobody else is there. What tells is whether a connection hears of a notification while it does nothing: it does
//! only if a session is its own.
use std::time::Duration;

use sqlx::{
    AssertSqlSafe, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::timeout;

/// How long a notification is waited for. It comes within a millisecond or so.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long connecting once more may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Why a connection is not used.
#[derive(Debug, thiserror::Error)]
#[error(
    "a pooler gives every transaction another session of the database (transaction pooling), which mixes up \
     statements: name the database itself, or a pooler in session mode (docs/postgres.md)"
)]
pub struct Pooled;

impl From<Pooled> for sqlx::Error {
    fn from(pooled: Pooled) -> Self {
        Self::Configuration(pooled.into())
    }
}

/// Whether this error says so.
pub fn is_pooled(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Configuration(source) if source.is::<Pooled>())
}

/// Whether a listener that has heard nothing hears of it once it has been answered something else: a database that is only
/// slow sends what it has to tell along with that.
async fn hears_late(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    let slow = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    timeout(CONNECT, sqlx::raw_sql("SELECT 1").execute(&mut *listener)).await.map_err(slow)??;
    Ok(matches!(timeout(PATIENCE, listener.try_recv()).await, Ok(Ok(Some(_)))))
}

/// Checks that who connects like this connection has a session of its own. Speaks in whole texts only, which no pooler
/// takes apart.
pub async fn refuse(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let name = sqlx::raw_sql("SELECT 'chancery_' || gen_random_uuid()").fetch_one(&mut *connection).await?;
    let channel: String = name.try_get(0)?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT)
        .connect_lazy_with(options.clone().application_name("pooler-probe"));
    let mut listener = PgListener::connect_with(&pool).await?;
    // One that connects again has missed what it listens for.
    listener.eager_reconnect(false);
    listener.listen(&channel).await?;
    let told = sqlx::raw_sql(AssertSqlSafe(format!("NOTIFY \"{channel}\""))).execute(connection).await;
    let heard = match told {
        Ok(_) => match timeout(PATIENCE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => true,
            Ok(Ok(None)) => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            Ok(Err(error)) => return Err(error),
            // It is there, and hears nothing.
            Err(_) => hears_late(&mut listener).await?,
        },
        // This connection hears of it in the other one's place.
        Err(sqlx::Error::Protocol(_)) => false,
        Err(error) => return Err(error),
    };
    drop(listener);
    // It says that it does not listen any more, and hangs up.
    let _ = timeout(CONNECT, pool.close()).await;
    if heard { Ok(()) } else { Err(Pooled.into()) }
}
