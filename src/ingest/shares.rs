//! How many places of some kind each caller has taken, so that none takes all of them. How many there are in all is for
//! others to bound. Callers: `streams`, `grpc::query` (queries), `server::gate`
//! (calls).
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::event::Producer;

/// The places that callers have taken.
#[derive(Clone, Debug)]
pub struct Shares {
    most: usize,
    /// Only of callers that have one.
    taken: Arc<Mutex<HashMap<Producer, usize>>>,
}

/// One place of a caller, until it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Shares,
    name: Producer,
}

impl Shares {
    /// At most so many for each caller.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A further place; `None` when the caller has all it may have.
    pub fn take(&self, name: &Producer) -> Option<Share> {
        let mut taken = self.taken();
        let own = taken.get(name).copied().unwrap_or(0);
        if own >= self.most {
            return None;
        }
        taken.insert(name.clone(), own + 1);
        Some(Share { shares: self.clone(), name: name.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Producer, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        if let Some(own) = taken.get_mut(&self.name) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_its_share_and_gives_it_back() {
        let shares = Shares::new(2);
        let named = |name| Producer::parse(name).expect("a name");
        let (one, two) = (shares.take(&named("a")), shares.take(&named("a")));
        assert!(one.is_some() && two.is_some());
        assert!(shares.take(&named("a")).is_none());
        assert!(shares.take(&named("b")).is_some(), "another's share");
        drop(one);
        let again = shares.take(&named("a"));
        assert!(again.is_some() && shares.take(&named("a")).is_none());
        drop((two, again));
        assert!(shares.taken().is_empty(), "who has nothing is forgotten");
    }
}
