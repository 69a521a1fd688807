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

use super::{
    super::StoreError,
    append, failed,
    session::{self, Target},
};

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
    asking: tokio::sync::Mutex<Option<Asking>>,
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
    ///
    /// # Errors
    /// None confirms; or the database is away, and nothing was seen.
    pub async fn look(&self, target: &Target) -> Result<(), StoreError> {
        self.required.store(true, Ordering::Relaxed);
        let missing = seen(&mut *self.asking.lock().await, target).await?;
        let answer = missing.as_deref().map_or(Ok(()), |why| Err(none(why)));
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
        answer
    }
}

/// Why none confirms, if so. Nobody can append where the database is away, whatever the standby does; who tries is told so.
async fn seen(kept: &mut Option<Asking>, target: &Target) -> Result<Option<String>, StoreError> {
    let late = || Ok(Some(format!("nothing confirmed a commit within {} s", PATIENCE.as_secs())));
    let mut asking = match kept.take() {
        Some(asking) => asking,
        None => match timeout(PATIENCE, Asking::open(target)).await {
            Ok(opened) => opened?,
            Err(_) => return late(),
        },
    };
    match timeout(PATIENCE, asking.ask()).await {
        Ok(answer) => {
            let missing = answer?;
            *kept = Some(asking);
            Ok(missing.map(str::to_owned))
        }
        Err(_) => {
            // It would wait on for as long as the standby is away, and the next look in one session more.
            let _ = timeout(PATIENCE, session::cancel(&target.options, asking.session)).await;
            late()
        }
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

/// A connection that asks.
struct Asking {
    connection: PgConnection,
    /// The database's number of its session.
    session: i32,
}

impl Asking {
    async fn open(target: &Target) -> Result<Self, StoreError> {
        let mut connection = target.clone().named("chancery-replica").connect().await?;
        append::insist_on_durability(&mut connection, true).await?;
        let session = sqlx::query_scalar(include_str!("session.sql")).fetch_one(&mut connection).await;
        Ok(Self { session: session.map_err(failed)?, connection })
    }

    /// Why nothing confirms, if so.
    async fn ask(&mut self) -> Result<Option<&'static str>, StoreError> {
        let query = sqlx::query_as(include_str!("sync_replica.sql"));
        let (named, standbys, synchronous): (bool, bool, bool) =
            query.fetch_one(&mut self.connection).await.map_err(failed)?;
        Ok(match (named, standbys, synchronous) {
            (false, ..) => Some("synchronous_standby_names is empty, so commits wait for nobody"),
            (true, false, _) => Some("no standby is connected"),
            (true, true, false) => Some("no standby that is connected is a synchronous one"),
            (true, true, true) if confirm(&mut self.connection).await.map_err(failed)? => None,
            (true, true, true) => Some(TOLD),
        })
    }
}
