//! What each producer may do: how fast it may send, and which logs it may append to. Set by the operator,
//! fixed for the life of the process. Callers: `grpc`.
use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::rate::{Load, RateLimiter, Rates, Throttled};
use crate::event::{LogName, Producer};

/// What one producer may do.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    pub rates: Rates,
    /// Logs it may append to; `None` for every log.
    pub logs: Option<BTreeSet<LogName>>,
}

/// What every producer may do.
pub struct Allowances {
    others: Rates,
    named: BTreeMap<Producer, Allowance>,
    limiter: RateLimiter,
}

impl Allowances {
    /// `others` holds for each producer that is not in `named`.
    pub fn new(others: Rates, named: BTreeMap<Producer, Allowance>, now: Instant) -> Self {
        let limiter = RateLimiter::new(others, named.iter().map(|(name, may)| (name, may.rates)), now);
        Self { others, named, limiter }
    }

    /// How fast a producer may send.
    pub fn rates(&self, producer: &Producer) -> Rates {
        self.named.get(producer).map_or(self.others, |may| may.rates)
    }

    /// The only logs that a producer may append to; `None` for every log.
    pub fn logs(&self, producer: &Producer) -> Option<&BTreeSet<LogName>> {
        self.named.get(producer).and_then(|may| may.logs.as_ref())
    }

    /// Whether a producer may append to a log.
    ///
    /// # Errors
    /// The logs that it may append to.
    pub fn may_append(&self, producer: &Producer, log: &LogName) -> Result<(), &BTreeSet<LogName>> {
        match self.logs(producer) {
            Some(logs) if !logs.contains(log) => Err(logs),
            Some(_) | None => Ok(()),
        }
    }

    /// Pays for a call, if the producer can.
    ///
    /// # Errors
    /// Which limit is in the way, and until when. Nothing was paid.
    pub fn pay(&self, producer: &Producer, load: Load, now: Instant) -> Result<(), Throttled> {
        self.limiter.pay(producer, load, now)
    }

    /// Pays for a batch that has been read already, in advance if need be.
    ///
    /// # Errors
    /// Until when the producer owes. It was paid all the same.
    pub fn owe(&self, producer: &Producer, load: Load, now: Instant) -> Result<(), Throttled> {
        self.limiter.owe(producer, load, now)
    }
}
