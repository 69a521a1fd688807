//! Looks after certificates while the server runs: new files are taken up without a signal, and what is about to
//! expire is told in time.
use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Tls,
    load::{Contents, day},
    seconds,
};

/// How often the files are looked at. They are a few KiB, and read whole: what replaces them (a rename, a symbolic
/// link that points elsewhere) shows in nothing but their contents for sure.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is told that a certificate is about to expire.
const TELL: Duration = Duration::from_secs(3600);
/// From when on: whoever renews them does so at the latest 30 days before as a rule, so something is wrong by then.
const SOON: i64 = 14 * 86_400;

impl Tls {
    /// Watches the files. Never returns.
    pub async fn watch(self: Arc<Self>) {
        let mut told: Option<Instant> = None;
        loop {
            if told.is_none_or(|at| at.elapsed() >= TELL) {
                self.warn();
                told = Some(Instant::now());
            }
            sleep(LOOK).await;
            let tls = Arc::clone(&self);
            // It ends early only when the process does.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
    }

    /// Reloads the files when there is something else in them than at the last try.
    fn look(&self) {
        let found = Contents::read(&self.settings).ok();
        let known = |found: &Contents| {
            *found == self.tried.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contents
        };
        // One that cannot be read may just be replaced; if it stays so, the next reload by hand says why.
        if found.as_ref().is_none_or(known) {
            return;
        }
        if let Err(fault) = self.reload() {
            tracing::error!(%fault, "the certificates have changed and cannot be used; the old ones stay in force");
        }
    }

    fn warn(&self) {
        let expiry = self.tried.lock().unwrap_or_else(std::sync::PoisonError::into_inner).expiry;
        let now = seconds(self.clock.as_ref());
        let each = [("the server", Some(expiry.server)), ("the clients' authority", expiry.client_ca)];
        for (of, at) in each {
            let Some(at) = at.filter(|at| at - now < SOON) else { continue };
            tracing::warn!(expires = %day(at), "the certificate of {of} expires in less than 14 days");
        }
    }
}
