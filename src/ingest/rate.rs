//! Rate limits: how many events and bytes per second each producer may send.
//!
//! A producer has two buckets, one of events and one of bytes. A call takes from both or from neither, so
//! that one which is refused for its bytes has not paid for its events, and the wait that it is told is
//! the one after which it succeeds. A bucket is a single number: the time at which it will be full again.
//! To take is to move that time into the future; a bucket that is full has no state at all.
//!
//! Does not read a clock and does not wait. Callers: `ingest::allowance`.
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::event::Producer;

/// Names with buckets of their own, beyond those that the configuration names. Callers choose their names
/// as long as nobody authenticates them, so the names are bounded: at 128 bytes for the longest name and
/// 80 for the rest of the entry these take 2 MiB. A name beyond them shares one pair of buckets with all
/// others beyond them, until a bucket that is full again makes room.
const MAX_NAMES: usize = 10_000;
/// Between two searches for full buckets, in nanoseconds: one takes some 100 us at `MAX_NAMES`.
const SWEEP: u64 = 1_000_000_000;
const SECOND: u128 = 1_000_000_000;

/// One limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// What is given back per second; at least 1.
    pub per_second: u64,
    /// What can be taken at once after a pause.
    pub burst: u64,
}

/// The limits of one producer; `None` for no limit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rates {
    pub events: Option<Rate>,
    pub bytes: Option<Rate>,
}

impl Rates {
    /// Per second and at once, of events and then of bytes, as they are told: 0 for no limit.
    pub fn figures(self) -> [(u64, u64); 2] {
        [self.events, self.bytes].map(|rate| rate.map_or((0, 0), |rate| (rate.per_second, rate.burst)))
    }

    const fn is_unlimited(self) -> bool {
        self.events.is_none() && self.bytes.is_none()
    }
}

/// What one call takes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub events: usize,
    pub bytes: usize,
}

/// What is limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Events,
    Bytes,
}

impl Unit {
    /// The name of the limit, as in the configuration.
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Events => "events_per_second",
            Self::Bytes => "bytes_per_second",
        }
    }
}

/// The limit that is in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Throttled {
    pub unit: Unit,
    pub rate: Rate,
    /// Until there is room, if nobody else takes it.
    pub wait: Duration,
}

/// When each bucket is full again, in nanoseconds since the limiter began.
#[derive(Clone, Copy, Default, Debug)]
struct Buckets {
    events: u64,
    bytes: u64,
}

/// The buckets of all producers.
pub struct RateLimiter {
    began: Instant,
    others: Rates,
    /// Of the producers that the configuration names: as many as it does, never given up.
    named: HashMap<Producer, (Rates, Mutex<Buckets>)>,
    unnamed: Mutex<Unnamed>,
}

#[derive(Default)]
struct Unnamed {
    own: HashMap<Producer, Buckets>,
    shared: Buckets,
    swept: u64,
}

impl RateLimiter {
    /// Full buckets for everybody.
    pub fn new<'a>(others: Rates, named: impl Iterator<Item = (&'a Producer, Rates)>, now: Instant) -> Self {
        let named = named.map(|(name, rates)| (name.clone(), (rates, Mutex::default()))).collect();
        Self { began: now, others, named, unnamed: Mutex::default() }
    }

    /// Takes a load, if there is room for it.
    ///
    /// # Errors
    /// The limit in the way. Nothing was taken.
    pub fn pay(&self, producer: &Producer, load: Load, now: Instant) -> Result<(), Throttled> {
        self.with(producer, now, |rates, buckets, now| {
            let (after, throttled) = buckets.after(rates, load, now);
            match throttled {
                Some(throttled) => Err(throttled),
                None => {
                    *buckets = after;
                    Ok(())
                }
            }
        })
    }

    /// Takes a load, whether there is room for it or not.
    ///
    /// # Errors
    /// How long nothing more should be taken. It was taken all the same.
    pub fn owe(&self, producer: &Producer, load: Load, now: Instant) -> Result<(), Throttled> {
        self.with(producer, now, |rates, buckets, now| {
            let (after, throttled) = buckets.after(rates, load, now);
            *buckets = after;
            throttled.map_or(Ok(()), Err)
        })
    }

    fn with<T>(
        &self,
        producer: &Producer,
        now: Instant,
        take: impl FnOnce(Rates, &mut Buckets, u64) -> Result<(), T>,
    ) -> Result<(), T> {
        // 580 years of nanoseconds.
        let now = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        if let Some((rates, buckets)) = self.named.get(producer) {
            return take(*rates, &mut lock(buckets), now);
        }
        if self.others.is_unlimited() {
            return Ok(());
        }
        take(self.others, lock(&self.unnamed).buckets(producer, now), now)
    }
}

impl Unnamed {
    fn buckets(&mut self, producer: &Producer, now: u64) -> &mut Buckets {
        let known = self.own.contains_key(producer);
        if !known && self.own.len() >= MAX_NAMES && now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.own.retain(|_, buckets| buckets.events > now || buckets.bytes > now);
        }
        if known || self.own.len() < MAX_NAMES {
            return self.own.entry(producer.clone()).or_default();
        }
        &mut self.shared
    }
}

impl Buckets {
    /// The buckets after a load, and the limit that it breaks for the longest time.
    fn after(self, rates: Rates, load: Load, now: u64) -> (Self, Option<Throttled>) {
        let (events, no_events) = after(self.events, rates.events, load.events, Unit::Events, now);
        let (bytes, no_bytes) = after(self.bytes, rates.bytes, load.bytes, Unit::Bytes, now);
        let longest = [no_events, no_bytes].into_iter().flatten().max_by_key(|throttled| throttled.wait);
        (Self { events, bytes }, longest)
    }
}

fn after(full_at: u64, rate: Option<Rate>, take: usize, unit: Unit, now: u64) -> (u64, Option<Throttled>) {
    let Some(rate) = rate else { return (full_at, None) };
    // More than a burst would never find room; only a batch that is refused as too large has more.
    let take = (take as u64).min(rate.burst);
    let full_at = full_at.max(now).saturating_add(nanos(take, rate));
    let wait = (full_at - now).saturating_sub(nanos(rate.burst, rate));
    let throttled = Throttled { unit, rate, wait: Duration::from_nanos(wait) };
    (full_at, (wait > 0).then_some(throttled))
}

/// How long it takes until so much is given back, rounded up.
fn nanos(amount: u64, rate: Rate) -> u64 {
    let per_second = u128::from(rate.per_second.max(1));
    u64::try_from((u128::from(amount) * SECOND).div_ceil(per_second)).unwrap_or(u64::MAX)
}

/// A panic elsewhere leaves no bucket half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
