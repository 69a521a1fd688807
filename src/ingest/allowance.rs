//! How fast each producer may send. The rates of single producers are the operator's and can be replaced while the
//! process runs. Callers: `grpc`.
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::time::Instant;

use super::rate::{Load, RateLimiter, Rates, Throttled};
use crate::event::Producer;

/// How fast every producer may send.
pub struct Allowances {
    others: Rates,
    named: RwLock<Arc<Named>>,
}

struct Named {
    rates: BTreeMap<Producer, Rates>,
    limiter: RateLimiter,
}

impl Allowances {
    /// `others` holds for each producer that is not in `named`.
    pub fn new(others: Rates, named: BTreeMap<Producer, Rates>, now: Instant) -> Self {
        Self { others, named: RwLock::new(Arc::new(Named::new(others, named, now))) }
    }

    /// Replaces the rates of single producers. What somebody has sent so far is forgotten where a rate has changed:
    /// a burst is given again.
    pub fn replace(&self, named: BTreeMap<Producer, Rates>, now: Instant) {
        let mut current = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if current.rates != named {
            *current = Arc::new(Named::new(self.others, named, now));
        }
    }

    /// How fast a producer may send.
    pub fn rates(&self, producer: &Producer) -> Rates {
        self.named().rates.get(producer).copied().unwrap_or(self.others)
    }

    /// Pays for a call, if the producer can.
    ///
    /// # Errors
    /// Which limit is in the way, and until when. Nothing was paid.
    pub fn pay(&self, producer: &Producer, load: Load, now: Instant) -> Result<(), Throttled> {
        self.named().limiter.pay(producer, load, now)
    }

    /// Pays for a batch that has been read already, in advance if need be.
    ///
    /// # Errors
    /// Until when the producer owes. It was paid all the same.
    pub fn owe(&self, producer: &Producer, load: Load, now: Instant) -> Result<(), Throttled> {
        self.named().limiter.owe(producer, load, now)
    }

    fn named(&self) -> Arc<Named> {
        // Nothing that holds the lock can leave it half written.
        Arc::clone(&self.named.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Named {
    fn new(others: Rates, rates: BTreeMap<Producer, Rates>, now: Instant) -> Self {
        let limiter = RateLimiter::new(others, rates.iter().map(|(name, rates)| (name, *rates)), now);
        Self { rates, limiter }
    }
}
