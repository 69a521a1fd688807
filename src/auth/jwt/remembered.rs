//! Tokens that were checked: a signature takes a hundred microseconds, and a caller brings its token with every call.
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::auth::Identity;

/// Tokens at most. One takes half a KiB with a few groups, so 5 MiB; 14 KiB with as many groups as there may be, which
/// only the issuer could make 140 MiB of.
const MOST: usize = 10_000;

/// The identities of checked tokens, by the tokens' SHA-256.
#[derive(Default)]
pub struct Remembered(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    tokens: HashMap<[u8; 32], Identity>,
    age: u64,
}

impl Remembered {
    /// Whose a token is, as long as it has not expired.
    pub fn find(&self, digest: &[u8; 32], now: i64) -> Option<Identity> {
        let inner = self.inner();
        inner.tokens.get(digest).filter(|identity| lasts(identity, now)).cloned()
    }

    /// How often all was forgotten.
    pub fn age(&self) -> u64 {
        self.inner().age
    }

    /// Keeps what was found out since `age`, unless all was forgotten meanwhile.
    pub fn keep(&self, age: u64, digest: [u8; 32], identity: &Identity) {
        let mut inner = self.inner();
        if inner.age != age {
            return;
        }
        if inner.tokens.len() >= MOST {
            // Checking some again costs less than knowing which was used when. Those that have expired go with them.
            inner.tokens.clear();
        }
        inner.tokens.insert(digest, identity.clone());
    }

    /// Forgets all.
    pub fn forget(&self) {
        let mut inner = self.inner();
        inner.age += 1;
        inner.tokens.clear();
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.inner().tokens.len()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lasts(identity: &Identity, now: i64) -> bool {
    identity.expires_at.is_some_and(|end| end > now)
}
