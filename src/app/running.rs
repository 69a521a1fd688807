//! A server that serves: what it reads again while it does, and how it ends in order.
use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::{Instant, sleep, sleep_until, timeout},
};
use tonic_health::server::HealthReporter;

use super::{
    AppError, FAREWELL, NOTICE,
    behind::Behind,
    callers, connections, health,
    port::Port,
    signals::{Signal, Signals},
    signing::Signing,
};
use crate::{
    config::AccessFile,
    event::LogName,
    grpc::audit::Audit,
    server::{
        ServeError,
        checks::{Check, Readiness},
        tls::Tls,
    },
};

/// How long the store may take to close: SQLite moves its write-ahead log into the file, some 8 MiB, on a disk that may be
/// slow.
const CLOSE: Duration = Duration::from_secs(5);

/// The server.
pub(super) struct Running {
    pub(super) port: Port,
    pub(super) audit: Arc<Audit>,
    pub(super) access: AccessFile,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) health: HealthReporter,
    /// The logs of which nothing is signed any more.
    pub(super) halted: watch::Receiver<Vec<LogName>>,
    pub(super) behind: Behind,
    pub(super) signing: Signing,
    /// What looks after something, which is over when the server drains.
    pub(super) watching: Vec<AbortHandle>,
    /// What tells followers of commits: until the last of them has gone.
    pub(super) following: AbortHandle,
    pub(super) serving: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    /// Serves until a signal asks for the end.
    ///
    /// # Errors
    /// The listener has ended before, as one does that cannot even begin.
    pub(super) async fn serve(&mut self, signals: &mut Signals) -> Result<(), AppError> {
        loop {
            tokio::select! {
                ended = &mut self.serving => {
                    self.audit.journal.abandon();
                    return Err(ended.ok().and_then(Result::err).unwrap_or(ServeError::Ended).into());
                }
                signal = signals.next() => match signal {
                    Signal::End => return Ok(()),
                    Signal::Reload => self.reload().await,
                },
            }
        }
    }

    /// Reads files again.
    pub(super) async fn reload(&self) {
        tracing::info!("SIGHUP: reading files again");
        let Audit { authenticator, journal, .. } = &*self.audit;
        callers::reload(&self.access, &self.audit);
        let only = callers::certificates_only(&authenticator.current(), authenticator.jwt());
        connections::reload(self.tls.clone(), only, journal).await;
    }

    /// Answers what it has taken, and ends.
    ///
    /// # Errors
    /// It took longer than this, or somebody lost patience.
    pub(super) async fn drain(self, until: Instant, signals: &mut Signals) -> Result<(), AppError> {
        tracing::info!("draining");
        let journal = Arc::clone(&self.audit.journal);
        let drained = tokio::select! {
            () = self.end() => true,
            () = sleep_until(until) => false,
            () = signals.end() => false,
        };
        journal.abandon();
        if !drained {
            return Err(AppError::NotDrained);
        }
        tracing::info!("drained");
        Ok(())
    }

    async fn end(self) {
        for watching in &self.watching {
            watching.abort();
        }
        // What is kept free of the disk is for the last entries of the self-audit, too.
        self.audit.ingest.room.spend();
        self.behind.stop();
        let away = "the server is going away; another one answers".to_owned();
        Readiness::tell(&self.port.readiness, Check::Drain, Some(away));
        let readiness = self.port.readiness.borrow().clone();
        health::report(&self.health, &readiness, &self.halted).await;
        sleep(NOTICE).await;
        self.audit.drain.cancel();
        // Calls first: they wait for the sequencers, which therefore still run. Reads are soon given up.
        self.audit.calls.close();
        self.audit.calls.wait().await;
        // Queries are told; a client that does not read is cut off with the connection, which it
        // cannot mistake for the end of its query.
        self.audit.readers.close();
        let _ = timeout(FAREWELL, self.audit.readers.wait()).await;
        // Now nobody has anything to tell of any more.
        self.audit.journal.drain().await;
        self.audit.ingest.drain().await;
        self.behind.end().await;
        self.signing.end().await;
        self.following.abort();
        // Connections end by themselves, but for streams that never do, such as a health watch.
        let _ = timeout(FAREWELL, self.serving).await;
        // It waits for statements that nobody waits for any more, and that the database has not ended.
        let _ = timeout(CLOSE, self.audit.store.close()).await;
        self.port.close().await;
    }
}
