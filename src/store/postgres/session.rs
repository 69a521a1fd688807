//! Connections and what each is told before it is used: its limits, that its commits are durable, and what keeps values
//! of events out of the server's log, where personal ones would stay when they are erased here. Called by everything in
//! this folder that connects.
//!
//! Settings are statements of the session and not part of its startup, which poolers refuse, or drop.
use std::{fmt::Write as _, str::FromStr as _};

use futures::future::BoxFuture;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::PgConnectOptions,
};

use super::{super::StoreError, failed, pooler};

/// A reader that hangs must not hold its connection, nor a writer its lock, for ever.
const LIMITS: [(&str, &str); 7] = [
    ("statement_timeout", "60s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    // What a statement that failed was given is not the log's either.
    ("log_parameter_max_length_on_error", "0"),
];

/// Raises a `synchronous_commit` that is too weak, and leaves stronger ones alone: what a request writes is as durable
/// as an append (`append::insist_on_durability`).
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Keeps values out of the server's log, where the role may: bind values, and plans, which hold them too. What it may
/// not do is not tried, because the server would log that.
const QUIET: &str = "SELECT set_config(name, value, false)
    FROM (VALUES ('log_parameter_max_length', '0'), ('auto_explain.log_min_duration', '-1')) AS quiet (name, value)
    WHERE current_setting(name, true) IS NOT NULL AND has_parameter_privilege(name, 'SET')";

/// Where to connect, and the settings of such a connection, of which later ones win.
#[derive(Clone)]
pub struct Target {
    pub options: PgConnectOptions,
    settings: Vec<(&'static str, &'static str)>,
}

impl Target {
    /// Of a URL.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(failed)?
            .application_name("chancery")
            .statement_cache_capacity(100)
            // Nothing here is a float, and poolers know nothing of it.
            .extra_float_digits(None)
            .disable_statement_logging();
        Ok(Self { options, settings: LIMITS.to_vec() })
    }

    /// With further settings.
    pub fn with(&self, settings: &[(&'static str, &'static str)]) -> Self {
        let mut target = self.clone();
        target.settings.extend(settings);
        target
    }

    /// Under another name in the database's list of sessions.
    pub fn named(mut self, name: &str) -> Self {
        self.options = self.options.application_name(name);
        self
    }

    /// A connection, ready for use.
    pub async fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.options.connect().await.map_err(failed)?;
        self.open(&mut connection).await.map_err(failed)?;
        Ok(connection)
    }

    /// What every connection of a pool is told.
    pub fn opener(
        &self,
    ) -> impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> + Send + Sync + 'static
    {
        let target = std::sync::Arc::new(self.clone());
        move |connection| {
            let target = std::sync::Arc::clone(&target);
            Box::pin(async move {
                target.open(connection).await?;
                connection.execute(DURABLE).await.map(drop)
            })
        }
    }

    /// Looks at the way to the database first: a pooler's session would keep the settings for others.
    async fn open(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        pooler::refuse(connection, &self.options).await?;
        let mut text = String::new();
        for (name, value) in &self.settings {
            // Writing to a String cannot fail.
            let _ = write!(text, "SET {name} = '{value}'; ");
        }
        text.push_str(QUIET);
        sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.map(drop)
    }
}

/// Has another session end what it waits for, a standby for instance.
pub async fn cancel(options: &PgConnectOptions, session: i32) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query(include_str!("cancel.sql")).bind(session).execute(&mut connection).await?;
    connection.close().await
}

/// What a superuser has to run where values get into the server's log all the same, because the role may not switch that
/// off.
pub async fn remedies_of_logging(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let query = sqlx::query_as(include_str!("values_logged.sql"));
    let (parameters, plans, role): (bool, bool, String) = query.fetch_one(connection).await?;
    let role = role.replace('"', "\"\"");
    let settings =
        [(parameters, "log_parameter_max_length = 0"), (plans, "auto_explain.log_min_duration = -1")];
    let logged = settings.into_iter().filter(|(logged, _)| *logged);
    Ok(logged.map(|(_, setting)| format!("ALTER ROLE \"{role}\" SET {setting}")).collect())
}

/// Warns of it.
pub async fn warn_if_logged(connection: &mut PgConnection) -> Result<(), StoreError> {
    for remedy in remedies_of_logging(connection).await.map_err(failed)? {
        tracing::warn!(
            remedy,
            "the PostgreSQL server logs the values of statements, personal ones too, and this role may not \
             switch that off: let a superuser run the remedy and start again"
        );
    }
    Ok(())
}
