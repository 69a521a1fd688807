//! Connections of their own, and what keeps values of events out of the server's log: personal ones would stay there
//! when they are erased here. Called by everything in this folder that needs more than the pools of `pool` give.
use sqlx::{ConnectOptions as _, Executor as _, PgConnection, postgres::PgConnectOptions};

use super::{super::StoreError, failed, pool::QUIET};

/// A connection.
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut connection = options.connect().await.map_err(failed)?;
    connection.execute(QUIET).await.map_err(failed)?;
    Ok(connection)
}

/// Warns when values get into the server's log all the same, because the role may not switch that off.
pub async fn warn_if_logged(connection: &mut PgConnection) -> Result<(), StoreError> {
    let query = sqlx::query_as(include_str!("values_logged.sql"));
    let (parameters, plans, role): (bool, bool, String) =
        query.fetch_one(connection).await.map_err(failed)?;
    let role = role.replace('"', "\"\"");
    for (logged, setting) in
        [(parameters, "log_parameter_max_length = 0"), (plans, "auto_explain.log_min_duration = -1")]
    {
        if logged {
            tracing::warn!(
                remedy = format!("ALTER ROLE \"{role}\" SET {setting}"),
                "the PostgreSQL server logs the values of statements, personal ones too, and this role may not \
                 switch that off: let a superuser run the remedy and start again"
            );
        }
    }
    Ok(())
}
