//! Tokens that an issuer has signed (JWT, RFC 7519).
//!
//! Does: checks a token by the issuer's keys and what is configured, and makes an [`Identity`] of it; keeps the keys
//! fresh; remembers what it has checked. Does not: decide what anybody may do, or tell a caller what is wrong with a
//! token. Called by: `Authenticator`, for every token with two dots; `app`, which owns the task that fetches keys.
mod claims;
mod head;
#[cfg(test)]
mod jwt_tests;
mod keys;
mod remembered;
mod source;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

pub use head::Head;
pub use jsonwebtoken::Algorithm;
pub use keys::{Keys, algorithm};
use sha2::{Digest as _, Sha256};
pub use source::Source;
use tokio::{
    sync::{Mutex, Notify, watch},
    time::{Instant, sleep, timeout},
};

use self::{
    keys::Missing,
    remembered::Remembered,
    source::{FETCH, Fetcher},
};
use super::Identity;
use crate::clock::Clock;

/// How often keys are fetched without being asked for.
const REFRESH: Duration = Duration::from_secs(600);
/// How soon after a fetch the next one: of a key that nobody knows, and while fetching fails.
const AGAIN: Duration = Duration::from_secs(30);

/// What is asked of a token. All of it is configured: nothing in a token can widen it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub source: Source,
    pub issuer: String,
    /// The token has to be for one of them.
    pub audience: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// The claim that is the caller's name.
    pub name_claim: String,
    /// The claim with the caller's groups; `None`: nobody has groups.
    pub groups_claim: Option<String>,
}

/// Why a token shows nothing. For the log: it holds nothing of the token but what is escaped and cut.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(super) String);

impl From<&'static str> for Invalid {
    fn from(what: &'static str) -> Self {
        Self(what.to_owned())
    }
}

/// Checks tokens.
pub struct Jwt {
    settings: Settings,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    keys: RwLock<Arc<Keys>>,
    remembered: Remembered,
    /// Held while keys are fetched.
    fetching: Mutex<()>,
    wanted: Notify,
    /// When keys were last fetched, or tried to be, and whether that failed.
    fetched: watch::Sender<Option<(Instant, bool)>>,
}

impl Jwt {
    /// One that knows no keys yet.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self {
            fetcher: Fetcher::new(settings.source.clone())?,
            settings,
            clock,
            keys: RwLock::default(),
            remembered: Remembered::default(),
            fetching: Mutex::default(),
            wanted: Notify::new(),
            fetched: watch::Sender::new(None),
        })
    }

    /// Keeps the keys fresh, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let last = *self.fetched.borrow();
            let pause = match last {
                Some((_, false)) => REFRESH,
                _ => AGAIN,
            };
            let passed = last.map_or(pause, |(at, _)| at.elapsed());
            let is_wanted = tokio::select! {
                () = sleep(pause.saturating_sub(passed)) => false,
                () = self.wanted.notified() => true,
            };
            // Whoever wanted them saw an older fetch than this one, and hears of this one.
            if is_wanted && self.is_fresh() {
                continue;
            }
            let _ = self.fetch().await;
        }
    }

    /// Fetches the keys now. What cannot be used leaves those that are there.
    ///
    /// # Errors
    /// Why there are no new ones, for the log.
    pub async fn fetch(&self) -> Result<(), String> {
        let _one = self.fetching.lock().await;
        let body = timeout(FETCH, self.fetcher.body())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", FETCH.as_secs())));
        let keys = body.and_then(|body| Keys::parse(&body, &self.settings.algorithms));
        let failed_before = self.fetched.borrow().is_some_and(|(_, failed)| failed);
        let source = &self.settings.source;
        let told = match keys {
            Ok(keys) => {
                if self.keys().digest != keys.digest {
                    tracing::info!(%source, keys = keys.len(), left_out = keys.left_out, "keys of signed tokens");
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                    self.remembered.forget();
                } else if failed_before {
                    tracing::info!(%source, "the keys of signed tokens can be fetched again");
                }
                Ok(())
            }
            Err(error) => {
                if !failed_before {
                    tracing::warn!(%source, error, "the keys of signed tokens cannot be fetched; those that are there stay");
                }
                Err(error)
            }
        };
        self.fetched.send_replace(Some((Instant::now(), told.is_err())));
        told
    }

    /// Forgets which tokens were checked.
    pub fn forget(&self) {
        self.remembered.forget();
    }

    /// Whose a token is. Waits only for keys, and only when the token names one that is not known.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub async fn identify(&self, token: &str) -> Result<Identity, Invalid> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(found) = self.remembered.find(&digest, self.clock.now_micros()) {
            return Ok(found);
        }
        let head = Head::read(token)?;
        let algorithm = head.algorithm(&self.settings.algorithms)?;
        // In this order: what is checked by keys that are no longer there is not remembered.
        let mut age = self.remembered.age();
        let mut keys = self.keys();
        if let Err(Missing::Unknown) = keys.find(head.kid.as_deref(), algorithm) {
            self.fetched_anew().await;
            age = self.remembered.age();
            keys = self.keys();
        }
        let key = keys.find(head.kid.as_deref(), algorithm).map_err(|missing| missing.told(&head))?;
        let identity = claims::check(token, key, algorithm, &self.settings, self.clock.now_micros())?;
        self.remembered.keep(age, digest, &identity);
        Ok(identity)
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_fresh(&self) -> bool {
        self.fetched.borrow().is_some_and(|(at, _)| at.elapsed() < AGAIN)
    }

    /// Has the keys fetched, unless they just were: whoever makes up names of keys must not make the server ask the
    /// issuer for each. The task does it, so a caller that goes away takes nothing from others.
    async fn fetched_anew(&self) {
        let mut fetched = self.fetched.subscribe();
        if fetched.borrow_and_update().is_some_and(|(at, _)| at.elapsed() < AGAIN) {
            return;
        }
        self.wanted.notify_one();
        // One that is under way may end before the one that is wanted here.
        let _ = timeout(FETCH + FETCH, fetched.changed()).await;
    }
}
