//! How many append streams are open, and how many of them are one producer's. Callers: `grpc::append_stream`.
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shares::{Share, Shares};
use crate::event::Producer;

/// Open append streams of one server. An idle one takes some 30 KiB with its share of the connection, so
/// these take 120 MiB; what is on the way in them is bounded by `admission`.
pub const MAX_STREAMS: usize = 4096;
/// Of them one producer's, so that a single one cannot take all.
pub const MAX_PRODUCER_STREAMS: usize = MAX_STREAMS / 4;

/// The open streams.
pub struct Streams {
    room: Arc<Semaphore>,
    of_producers: Shares,
}

impl Default for Streams {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_STREAMS)), of_producers: Shares::new(MAX_PRODUCER_STREAMS) }
    }
}

/// One open stream, counted until it is dropped.
pub struct Open {
    _share: Share,
    _place: OwnedSemaphorePermit,
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
        let share = self.of_producers.take(producer).ok_or(TooMany::OfProducer)?;
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| TooMany::Streams)?;
        Ok(Open { _share: share, _place: place })
    }
}
