//! Whether a synchronous standby confirms commits, where that is required. A COMMIT waits for the standby by itself
//! when the server is set up so; what is looked at here is whether it is, and whether anything answers, so that appends
//! are refused at once and do not hang in their COMMIT, holding the heads of their logs. Looked at every second
//! (`Store::confirm_by_replica`), and again in the transaction of each append (`append`).
//!
//! An ordinary role sees no state of standbys, so a commit of nothing is what tells: it returns when a standby has it.
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::PgConnection;
use tokio::time::timeout;

use super::{super::StoreError, append, failed, session::Target};

/// How long a standby may take to confirm. One that is slower than this makes appends worthless, not only slow.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether commits of a session wait for a standby.
pub const COMMITS_WAIT: &str = include_str!("commits_wait.sql");
/// Why nothing can be said of a standby while they do not.
pub const TOLD: &str = "the server was told not to let commits wait for a standby";

/// What is known of it, for every appender of a store.
#[derive(Default)]
pub struct Replica {
    required: AtomicBool,
    /// Why none confirms.
    missing: Mutex<Option<String>>,
    /// What asks. None until it is needed, and after it has failed.
    connection: tokio::sync::Mutex<Option<PgConnection>>,
}

impl Replica {
    /// Whether a standby has to confirm.
    pub fn is_required(&self) -> bool {
        self.required.load(Ordering::Relaxed)
    }

    /// Whether one does, as far as was seen.
    pub fn check(&self) -> Result<(), StoreError> {
        match &*self.missing.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(none(why)),
            None => Ok(()),
        }
    }

    /// Looks, and keeps what was seen. From the first look on a standby is required.
    pub async fn look(&self, target: &Target) -> Result<(), StoreError> {
        self.required.store(true, Ordering::Relaxed);
        let mut connection = self.connection.lock().await;
        let taken = connection.take();
        let seen = timeout(PATIENCE, look(taken, target)).await;
        let seen = match seen {
            Ok(Ok((kept, missing))) => {
                *connection = Some(kept);
                missing.map_or(Ok(()), |why| Err(none(why)))
            }
            // Nobody can append then, whatever the standby does; who tries is told so.
            Ok(Err(error)) => return Err(error),
            Err(_) => Err(none(&format!("nothing confirmed a commit within {} s", PATIENCE.as_secs()))),
        };
        let missing = seen.as_ref().err().map(|error| match error {
            StoreError::NoSyncReplica(why) => why.clone(),
            other => other.to_string(),
        });
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
        seen
    }
}

/// Commits a record of nothing: when a standby has that, it has everything that was committed before. True once one has.
///
/// A COMMIT alone does not tell: PostgreSQL answers it as any other when somebody has cancelled its wait, or has emptied
/// the list of standbys. The first is made good by waiting once more, the second is looked for afterwards.
pub async fn confirm(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query(include_str!("sync_commit.sql")).execute(&mut *connection).await?;
    sqlx::query_scalar(COMMITS_WAIT).fetch_one(connection).await
}

fn none(why: &str) -> StoreError {
    StoreError::NoSyncReplica(why.to_owned())
}

/// Looks once; the connection, and why nothing confirms.
async fn look(
    connection: Option<PgConnection>,
    target: &Target,
) -> Result<(PgConnection, Option<&'static str>), StoreError> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => {
            // A look that was given up waits on in the database; there are to be few of them.
            let mut connection =
                target.with(&[("statement_timeout", "4s")]).named("chancery-replica").connect().await?;
            append::insist_on_durability(&mut connection, true).await?;
            connection
        }
    };
    let (named, standbys, synchronous): (bool, bool, bool) =
        sqlx::query_as(include_str!("sync_replica.sql")).fetch_one(&mut connection).await.map_err(failed)?;
    let missing = match (named, standbys, synchronous) {
        (false, ..) => Some("synchronous_standby_names is empty, so commits wait for nobody"),
        (true, false, _) => Some("no standby is connected"),
        (true, true, false) => Some("no standby that is connected is a synchronous one"),
        (true, true, true) => None,
    };
    if missing.is_none() && !confirm(&mut connection).await.map_err(failed)? {
        return Ok((connection, Some(TOLD)));
    }
    Ok((connection, missing))
}
