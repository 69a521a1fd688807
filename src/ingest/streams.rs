//! How many append streams are open, and how many of them are one producer's. Callers: `grpc::append_stream`.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::event::Producer;

/// Open append streams of one server. An idle one takes some 30 KiB with its share of the connection, so
/// these take 120 MiB; what is on the way in them is bounded by `admission`.
pub const MAX_STREAMS: usize = 4096;
/// Of them one producer's, so that a single one cannot take all.
pub const MAX_PRODUCER_STREAMS: usize = MAX_STREAMS / 4;

/// The open streams.
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    of: HashMap<Producer, usize>,
}

/// One open stream, counted until it is dropped.
pub struct Open {
    streams: Streams,
    producer: Producer,
}

/// Which limit was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooMany {
    Streams,
    OfProducer,
}

impl Streams {
    /// Counts a further stream.
    ///
    /// # Errors
    /// The limit that was reached.
    pub fn open(&self, producer: &Producer) -> Result<Open, TooMany> {
        let mut counts = self.counts();
        if counts.of.get(producer).is_some_and(|open| *open >= MAX_PRODUCER_STREAMS) {
            return Err(TooMany::OfProducer);
        }
        if counts.all >= MAX_STREAMS {
            return Err(TooMany::Streams);
        }
        counts.all += 1;
        *counts.of.entry(producer.clone()).or_default() += 1;
        Ok(Open { streams: self.clone(), producer: producer.clone() })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut counts = self.streams.counts();
        counts.all -= 1;
        if let Some(open) = counts.of.get_mut(&self.producer) {
            *open -= 1;
            if *open == 0 {
                counts.of.remove(&self.producer);
            }
        }
    }
}
