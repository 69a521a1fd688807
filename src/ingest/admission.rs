//! Admission: how much of the server's memory submitted events may take, and how much of that one
//! producer. What has no room waits a moment, and then its caller is told to come back.
//!
//! There are two budgets. A message takes from the first before its bytes are read, so that nobody can make
//! the server buffer more than that; once its events are counted it takes their price from the second,
//! gives the first one back, and keeps the second until its answer has left.
//! Callers: `server::intake` for the first, `grpc` for the second.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::SubmitError;
use crate::{
    event::{Producer, limits::MAX_BATCH_EVENTS},
    telemetry::IngestMetrics,
};

/// Memory of messages that are being received or wait for admission. The largest takes 9 MiB, so these are
/// four of them. With `FLIGHT_BYTES` and the 30 MiB of an idle server it leaves a fifth of 256 MiB for
/// connections and open streams.
const RECEIVE_BYTES: usize = 40 << 20;
/// Memory per byte of a received message: as it arrived and as it is decoded.
const RECEIVED_BYTE_PRICE: usize = 2;
/// Memory of a decoded event besides its texts: a message of n bytes may hold n / 2 of them.
const RECEIVED_EVENT_PRICE: usize = 1 << 10;
/// Memory of admitted events.
const FLIGHT_BYTES: usize = 128 << 20;
/// Memory per byte of an admitted event: three in its record and columns (source, attributes, the text of
/// the attributes), three more among the arguments of the statement that writes it and three in the
/// connection's buffer, the last two in vectors that double when they grow, which a half more covers.
const BYTE_PRICE: usize = 12;
/// Memory of an admitted event besides its bytes: its sealed form, its columns, its verdict, its result.
const EVENT_PRICE: usize = 2 << 10;
/// What one producer may hold of a budget, as a part of it: the others always have the rest.
const SHARE: usize = 2;
/// Unit of a budget.
const PERMIT: usize = 1 << 10;
/// How long a call waits for room before it is told to come back.
pub const ADMISSION_WAIT: Duration = Duration::from_secs(2);
/// Producers whose shares are remembered before those that hold nothing are forgotten.
const FORGET_ABOVE: usize = 1024;

/// Memory, divided among producers.
pub struct Budget {
    all: Arc<Semaphore>,
    share: usize,
    /// Of the producers that hold or wait for something, and of at most as many others.
    shares: Mutex<HashMap<Producer, Arc<Semaphore>>>,
}

/// A part of a budget, given back when it is dropped.
pub struct Room {
    _all: OwnedSemaphorePermit,
    _share: Option<OwnedSemaphorePermit>,
}

/// Room for the events of one call, shared by all that hold them.
#[derive(Clone)]
pub struct Admission {
    _room: Arc<Room>,
}

impl Budget {
    /// The budget of messages that are not decoded yet.
    pub fn of_receive() -> Self {
        Self::new(RECEIVE_BYTES)
    }

    /// The budget of admitted events.
    pub fn of_flight() -> Self {
        Self::new(FLIGHT_BYTES)
    }

    fn new(bytes: usize) -> Self {
        let permits = bytes / PERMIT;
        Self {
            all: Arc::new(Semaphore::new(permits)),
            share: permits / SHARE,
            shares: Mutex::new(HashMap::new()),
        }
    }

    /// Lets the metrics tell how much of it is taken.
    pub(super) fn tell(&self, metrics: &IngestMetrics) {
        let (all, most) = (Arc::clone(&self.all), self.all.available_permits());
        let bytes = |permits: usize| (permits * PERMIT) as f64;
        metrics.inflight_bytes.answer(move || Some(bytes(most.saturating_sub(all.available_permits()))));
        metrics.inflight_bytes_limit.answer(move || Some(bytes(most)));
    }

    /// Waits for room for so many bytes. `None` is the operator, who has no share.
    ///
    /// # Errors
    /// There is none, or not for this producer.
    async fn take(&self, producer: Option<&Producer>, bytes: usize) -> Result<Room, SubmitError> {
        // More than a share would never find room.
        let permits = u32::try_from((bytes / PERMIT + 1).min(self.share)).unwrap_or(u32::MAX);
        let until = Instant::now() + ADMISSION_WAIT;
        let share = match producer {
            None => None,
            Some(producer) => {
                let share = timeout_at(until, self.share(producer).acquire_many_owned(permits)).await;
                Some(share.map_err(|_| SubmitError::OverShare)?.map_err(|_| SubmitError::Draining)?)
            }
        };
        let all = timeout_at(until, Arc::clone(&self.all).acquire_many_owned(permits)).await;
        let all = all.map_err(|_| SubmitError::Overloaded)?.map_err(|_| SubmitError::Draining)?;
        Ok(Room { _all: all, _share: share })
    }

    /// Room for a message of which only the length is known.
    ///
    /// # Errors
    /// There is none, or not for this producer.
    pub async fn receive(&self, producer: &Producer, bytes: usize) -> Result<Room, SubmitError> {
        let events = (bytes / 2).min(MAX_BATCH_EVENTS);
        self.take(Some(producer), bytes * RECEIVED_BYTE_PRICE + events * RECEIVED_EVENT_PRICE).await
    }

    /// Room for the events of a decoded request.
    ///
    /// # Errors
    /// There is none, or not for this producer.
    pub async fn admit(
        &self,
        producer: Option<&Producer>,
        bytes: usize,
        events: usize,
    ) -> Result<Admission, SubmitError> {
        let room = self.take(producer, bytes * BYTE_PRICE + events * EVENT_PRICE).await?;
        Ok(Admission { _room: Arc::new(room) })
    }

    fn share(&self, producer: &Producer) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= FORGET_ABOVE && !shares.contains_key(producer) {
            // Permits and those who wait for them hold a reference each.
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        Arc::clone(shares.entry(producer.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.share))))
    }
}

/// The room that the message which a call receives now has taken, handed from the body to the handler.
#[derive(Clone, Default)]
pub struct Received(Arc<Handover>);

#[derive(Default)]
struct Handover {
    room: Mutex<Option<Room>>,
    stalled: Notify,
}

impl Received {
    /// The next message has found room.
    pub fn put(&self, room: Room) {
        *self.0.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
    }

    /// The room of the message that was received last. It may be given back once its events are admitted.
    pub fn take(&self) -> Option<Room> {
        self.0.room.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The next message of a stream has found no room yet.
    pub fn stall(&self) {
        self.0.stalled.notify_one();
    }

    /// Waits until the next message has found no room for a while.
    pub async fn stalled(&self) {
        self.0.stalled.notified().await;
    }
}
