//! What lies behind a store failure, for those who must know more than what to do: who waits for a database to come, and
//! who tells that a disk is full. Called by: `app` at start, and `ingest`.
use super::{SchemaFault, StoreError};

/// Whether a store that could not be opened may become one that can without anybody touching this server: a database that
/// starts, or whose schema is being migrated. Not so credentials, names and certificates that it refuses.
pub fn may_come(error: &StoreError) -> bool {
    match error {
        StoreError::Schema(fault) => matches!(fault, SchemaFault::Missing | SchemaFault::Older { .. }),
        StoreError::Unavailable(source)
        | StoreError::Locked(source)
        | StoreError::StateUnknown(source)
        | StoreError::TooSlow(source) => {
            // Class 28: who asks is refused. Class 3D: there is no such database.
            let refused = |code: String| ["28", "3D"].iter().any(|class| code.starts_with(class));
            !matches!(source.downcast_ref(), Some(sqlx::Error::Tls(_) | sqlx::Error::Configuration(_)))
                && !sql_code(error).is_some_and(refused)
        }
        // A standby is waited for by whoever appends; a pooler that mixes up sessions stays one.
        StoreError::Pooled(_)
        | StoreError::NoSyncReplica(_)
        | StoreError::Broken(_)
        | StoreError::KeyTaken => false,
    }
}

/// Whether the store had no room on its disk.
pub fn is_full(error: &StoreError) -> bool {
    // A SQLSTATE has five characters; a code of SQLite has fewer digits, and extends the one in its low byte.
    sql_code(error).is_some_and(|code| match code.len() {
        5 => code == "53100",
        _ => code.parse::<i64>().is_ok_and(|code| code & 0xff == 13),
    })
}

fn sql_code(error: &StoreError) -> Option<String> {
    let source = match error {
        StoreError::Unavailable(source)
        | StoreError::Locked(source)
        | StoreError::StateUnknown(source)
        | StoreError::TooSlow(source)
        | StoreError::Broken(source) => source,
        StoreError::Schema(_)
        | StoreError::Pooled(_)
        | StoreError::NoSyncReplica(_)
        | StoreError::KeyTaken => return None,
    };
    let database = source.downcast_ref::<sqlx::Error>()?.as_database_error()?;
    Some(database.code()?.into_owned())
}
