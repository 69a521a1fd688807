//! Opens the store at start, and waits for one that may still come: a server and its database, or the job that migrates
//! it, are started together and in any order.
use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    AppError,
    signals::{Signal, Signals},
};
use crate::{
    server::checks::{Check, Readiness},
    store::{self, Store, StoreError, StoreUrl},
};

/// How long one try may take: a host that drops what it is sent would be waited for by the minute.
const TRY: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is told that the server waits.
const TELL: Duration = Duration::from_secs(10);

/// How waiting for the store came to an end.
pub(super) enum Started {
    /// It is there. `reload`: somebody asked to have files read again, meanwhile.
    With { store: Arc<dyn Store>, reload: bool },
    /// The process is to end.
    Ended,
}

/// Opens the store. SQLite is brought up to date here, because the process owns the file; a PostgreSQL schema is
/// `chancery migrate`'s, because replicas of different versions may be running.
///
/// # Errors
/// The store cannot be used.
pub(super) async fn open(url: &StoreUrl) -> Result<Arc<dyn Store>, AppError> {
    let failed = |error| AppError::Store(url.clone(), error);
    let store = store::connect(url).await.map_err(failed)?;
    if matches!(url, StoreUrl::Sqlite(_)) {
        store.migrate().await.map_err(failed)?;
    }
    store.ready().await.map_err(failed)?;
    Ok(store)
}

/// The same, but a PostgreSQL database that cannot be reached, or whose schema is not there or is older, is waited for.
///
/// # Errors
/// The store cannot be used, and waiting would not help: it refuses the credentials, there is no such database, or it is
/// a file.
pub(super) async fn store(
    url: &StoreUrl,
    readiness: &watch::Sender<Readiness>,
    signals: &mut Signals,
) -> Result<Started, AppError> {
    let mut reload = false;
    if matches!(url, StoreUrl::Sqlite(_)) {
        // Columns that a new version fills may take a while; what has been filled by then stays.
        return match unless_ended(open(url), signals, &mut reload).await {
            Some(opened) => Ok(Started::With { store: opened?, reload }),
            None => Ok(Started::Ended),
        };
    }
    let mut connected = None;
    let mut told: Option<Instant> = None;
    loop {
        let tried = tokio::select! {
            tried = timeout(TRY, come(url, &mut connected)) => tried.unwrap_or_else(|_| {
                let why = format!("no answer within {} s", TRY.as_secs());
                Err(StoreError::Unavailable(why.into()))
            }),
            ended = is_end(signals, &mut reload) => match ended {
                true => return Ok(Started::Ended),
                false => continue,
            },
        };
        let error = match tried {
            Ok(store) => {
                if told.is_some() {
                    tracing::info!("the store is there");
                }
                return Ok(Started::With { store, reload });
            }
            Err(error) if store::may_come(&error) => error,
            Err(error) => return Err(AppError::Store(url.clone(), error)),
        };
        Readiness::tell(readiness, Check::Start, Some(format!("waiting for the store: {error}")));
        if told.is_none_or(|at| at.elapsed() >= TELL) {
            told = Some(Instant::now());
            tracing::warn!(store = %url, %error, "waiting for the store");
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            ended = is_end(signals, &mut reload) => if ended { return Ok(Started::Ended) },
        }
    }
}

/// Does this unless the process is to end first; then nothing.
pub(super) async fn unless_ended<T>(
    work: impl Future<Output = T>,
    signals: &mut Signals,
    reload: &mut bool,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            ended = is_end(signals, reload) => if ended { return None },
        }
    }
}

/// Says that the server serves.
pub(super) fn done(readiness: &watch::Sender<Readiness>) {
    Readiness::tell(readiness, Check::Start, None);
}

/// One try. A connection that was made stays, so that what is told of it is told once.
async fn come(url: &StoreUrl, connected: &mut Option<Arc<dyn Store>>) -> Result<Arc<dyn Store>, StoreError> {
    let store = match connected {
        Some(store) => store,
        None => connected.insert(store::connect(url).await?),
    };
    store.ready().await?;
    Ok(Arc::clone(store))
}

/// The next signal: whether it ends the process. What is read again is so once there is a server.
async fn is_end(signals: &mut Signals, reload: &mut bool) -> bool {
    match signals.next().await {
        Signal::End => true,
        Signal::Reload => {
            *reload = true;
            false
        }
    }
}
