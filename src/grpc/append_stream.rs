//! `AppendStream`: batches in flight on one stream, acked in order.
//!
//! One task per stream. It reads a batch, checks it (`append::check`), and lets the sequencer commit it
//! while it reads the next, up to the credits. Acks go out in the order of the batches. A batch that
//! cannot be committed now is tried again until it can, because the client has nothing better to do
//! with it; the client hears why it waits. A producer that has sent more than it may is not read until
//! that is paid back, so nothing of it waits in memory. A client that reads no acks for a while is cut
//! off. The task ends when the client has closed its side and
//! everything is acked, when the server drains, or when the client is gone; what it has queued by then
//! is committed all the same, and answered as a duplicate when it is sent again.
use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesOrdered};
use prost::Message as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};
use tonic::{Status, Streaming};

use super::{
    append,
    audit::Audit,
    limits, may,
    outbox::{Answers, Outbox, outbox},
    status,
    tally::Tally,
};
use crate::{
    auth::Caller,
    event::{
        LogName,
        limits::{MAX_BATCH_EVENTS, MAX_EVENT_BYTES, MAX_MESSAGE_BYTES},
    },
    ingest::{
        Admission, SubmitError,
        admission::{Received, Room},
        rate::Load,
        sequencer::{Mode, Submission},
    },
    proto::v1,
    telemetry::{self, LoadShed},
    tree::TreeHead,
};

/// Batches of one stream that may be unacked. Two keep the sequencer busy; the rest covers the way
/// there and back. Memory is bounded by the budgets of `ingest::admission`, over all streams.
const CREDITS: usize = 16;
/// How long a stream lives. After that the client opens another one, perhaps on another replica.
const STREAM_AGE: Duration = Duration::from_secs(3600);
/// Pause before a batch that could not be committed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long acks may wait for a client that takes none of them. Until then they hold a part of the
/// producer's share of the server's memory.
const SLOW_READER: Duration = Duration::from_secs(30);

/// Begins to serve a stream.
///
/// # Errors
/// There are too many of them.
pub fn run(
    audit: Arc<Audit>,
    caller: Arc<Caller>,
    received: Received,
    inbound: Streaming<v1::AppendStreamRequest>,
) -> Result<Answers, Status> {
    let open = audit.streams.open(caller.name()).map_err(|limit| {
        audit.metrics.calls.shed(LoadShed::streams);
        status::too_many_streams(caller.name(), limit)
    })?;
    let (outbox, answers) = outbox(open);
    let tracker = audit.readers.clone();
    tracker.spawn(telemetry::carried(async move {
        let mut stream = Stream { audit, caller, log: None, last_batch: 0, received, outbox, admitted: None };
        let ended = stream.serve(inbound).await;
        let Stream { outbox, .. } = stream;
        match ended {
            Ok(()) | Err(Ended::Gone) => outbox.end(Ok(())),
            Err(Ended::With(error)) => outbox.end(Err(error)),
            Err(Ended::SlowReader) => outbox.cut(status::slow_reader(SLOW_READER)),
        }
    }));
    Ok(answers)
}

/// Why a stream ended before its client closed it.
enum Ended {
    /// The client does not listen any more.
    Gone,
    /// The client takes no acks.
    SlowReader,
    /// The client broke the rules of the stream, or its connection broke.
    With(Status),
}

struct Stream {
    audit: Arc<Audit>,
    caller: Arc<Caller>,
    log: Option<LogName>,
    last_batch: u64,
    received: Received,
    outbox: Outbox,
    /// Says that the last batch has found room.
    admitted: Option<oneshot::Receiver<()>>,
}

/// Batches find room in their order. A later one that found it first would keep it until the earlier one is
/// acked, and the earlier one might wait for just that room.
struct Turn {
    /// What its message has taken, given back once its events have found room.
    room: Option<Room>,
    before: Option<oneshot::Receiver<()>>,
    admitted: oneshot::Sender<()>,
}

/// A batch whose outcome is final, or why it is not.
struct Settled {
    batch_number: u64,
    outcome: Result<(Vec<v1::EventResult>, Option<TreeHead>, Admission), NotCommitted>,
}

/// Why a batch was not committed and is not tried again: the client keeps it and all after it.
enum NotCommitted {
    /// The server goes away; the client was told.
    Draining,
    /// The store refuses the batch itself.
    Broken,
}

impl Stream {
    async fn serve(&mut self, mut inbound: Streaming<v1::AppendStreamRequest>) -> Result<(), Ended> {
        self.answer(v1::AppendStreamResponse { settings: Some(self.settings()), ..Default::default() });
        let (throttles, mut throttled) = mpsc::channel(1);
        let mut in_flight = FuturesOrdered::new();
        let age = sleep_until(Instant::now() + STREAM_AGE);
        tokio::pin!(age);
        let (drain, received) = (self.audit.drain.clone(), self.received.clone());
        let mut open = true;
        // Until when the producer owes what it has sent.
        let mut owes_until = None;
        while open || !in_flight.is_empty() || self.outbox.waiting() > 0 {
            let reads = open && owes_until.is_none() && in_flight.len() + self.outbox.waiting() < CREDITS;
            let slow_at = self.outbox.since().map(|since| since + SLOW_READER);
            tokio::select! {
                biased;
                Some(settled) = in_flight.next(), if !in_flight.is_empty() => {
                    let Settled { batch_number, outcome } = settled;
                    let (results, tree, admission) = match outcome {
                        Ok(outcome) => outcome,
                        Err(NotCommitted::Draining) => return Ok(()),
                        Err(NotCommitted::Broken) => return Err(Ended::With(status::internal())),
                    };
                    let (tree_size, root_hash) = append::tree_fields(tree);
                    self.outbox.put(v1::AppendStreamResponse {
                        acked_through: batch_number,
                        results,
                        tree_size,
                        root_hash,
                        ..Default::default()
                    }, Some(admission));
                }
                () = self.outbox.taken() => if self.outbox.is_gone() {
                    return Err(Ended::Gone);
                },
                () = until(slow_at) => if self.outbox.since().is_some_and(|since| since.elapsed() >= SLOW_READER) {
                    self.audit.metrics.calls.shed(LoadShed::slow_reader);
                    return Err(Ended::SlowReader);
                },
                Some(throttle) = throttled.recv() => self.throttle(throttle),
                () = drain.cancelled(), if open => {
                    open = false;
                    self.drain("SHUTDOWN");
                }
                () = &mut age, if open => {
                    open = false;
                    self.drain("STREAM_AGE");
                }
                () = until(owes_until), if open => owes_until = self.pay(Load { events: 0, bytes: 0 }),
                () = received.stalled(), if reads => self.throttle(notice(SubmitError::Overloaded)),
                message = inbound.message(), if reads => match message {
                    Ok(Some(request)) => {
                        // Before anything is checked: what is refused has cost the server the same.
                        owes_until = self.pay(Load { events: request.events.len(), bytes: request.encoded_len() });
                        in_flight.push_back(self.batch(request, throttles.clone())?);
                    }
                    Ok(None) => open = false,
                    Err(error) => return Err(Ended::With(error)),
                },
            }
        }
        Ok(())
    }

    fn answer(&self, answer: v1::AppendStreamResponse) {
        self.outbox.put(answer, None);
    }

    fn throttle(&self, throttle: v1::StreamThrottle) {
        self.outbox.put_notice(throttle);
    }

    fn drain(&self, reason: &str) {
        let drain = v1::StreamDrain { reason: reason.to_owned() };
        self.answer(v1::AppendStreamResponse { drain: Some(drain), ..Default::default() });
    }

    /// Pays for a batch. When the producer owes for it, tells the client, and returns until when nothing
    /// more is read.
    fn pay(&self, load: Load) -> Option<Instant> {
        let now = Instant::now();
        let throttled = self.audit.producers.owe(self.caller.name(), load, now).err()?;
        self.audit.metrics.calls.shed(limits::cause(&throttled));
        let wait = status::whole_millis(throttled.wait);
        self.throttle(v1::StreamThrottle {
            reason: status::RATE_LIMITED.to_owned(),
            retry_after: Some(pbjson_types::Duration::from(wait)),
        });
        Some(now + wait)
    }

    /// Checks the rules of the stream and returns the work that checks and commits the batch.
    fn batch(
        &mut self,
        request: v1::AppendStreamRequest,
        throttles: mpsc::Sender<v1::StreamThrottle>,
    ) -> Result<impl Future<Output = Settled> + Send + 'static, Ended> {
        let room = self.received.take();
        let log = self.log(&request.log).map_err(Ended::With)?;
        let batch_number = request.batch_number;
        self.number(batch_number).map_err(Ended::With)?;
        let count = request.events.len();
        if count == 0 {
            return Err(Ended::With(status::empty_batch(MAX_BATCH_EVENTS)));
        }
        let audit = Arc::clone(&self.audit);
        let caller = Arc::clone(&self.caller);
        let tally = Tally::received(&audit.metrics, count, request.encoded_len(), false);
        let (admitted, next) = oneshot::channel();
        let turn = Turn { room, before: self.admitted.replace(next), admitted };
        Ok(async move {
            let outcome = commit(&audit, &tally, &log, &caller, request, turn, &throttles).await;
            Settled { batch_number, outcome }
        })
    }

    /// The log of the stream: the first message names it.
    fn log(&mut self, name: &str) -> Result<LogName, Status> {
        match &self.log {
            Some(log) if name.is_empty() || name == log.as_str() => Ok(log.clone()),
            Some(log) => {
                let description = format!("the stream appends to {log}; open another one for another log");
                Err(status::invalid("INVALID_LOG", "log", description))
            }
            None => {
                let log = may::append(&self.caller, name)?;
                Ok(self.log.insert(log).clone())
            }
        }
    }

    fn number(&mut self, number: u64) -> Result<(), Status> {
        let expected = self.last_batch.wrapping_add(1);
        if number == 0 || (self.last_batch != 0 && number != expected) {
            let description = match self.last_batch {
                0 => "is 0; batches are numbered from 1 or above".to_owned(),
                last => format!("is {number} after {last}; each batch has the next number"),
            };
            return Err(status::invalid("BATCH_OUT_OF_ORDER", "batch_number", description));
        }
        self.last_batch = number;
        Ok(())
    }

    fn settings(&self) -> v1::StreamSettings {
        let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let [(events_per_second, burst_events), (bytes_per_second, burst_bytes)] =
            self.audit.producers.rates(self.caller.name()).figures();
        v1::StreamSettings {
            max_batch_events: number(MAX_BATCH_EVENTS),
            max_event_bytes: number(MAX_EVENT_BYTES),
            max_message_bytes: number(MAX_MESSAGE_BYTES),
            max_unacked_batches: number(CREDITS),
            events_per_second,
            burst_events,
            bytes_per_second,
            burst_bytes,
        }
    }
}

/// Waits until an instant, or for ever.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Checks and commits a batch, trying again for as long as it takes. Its memory is accounted for by the
/// room of its turn and then by the admission that comes with its results.
async fn commit(
    audit: &Audit,
    tally: &Tally,
    log: &LogName,
    caller: &Caller,
    mut request: v1::AppendStreamRequest,
    turn: Turn,
    throttles: &mpsc::Sender<v1::StreamThrottle>,
) -> Result<(Vec<v1::EventResult>, Option<TreeHead>, Admission), NotCommitted> {
    let (bytes, count) = (request.encoded_len(), request.events.len());
    if count > MAX_BATCH_EVENTS {
        // Refused anyway: it does not wait with more events than it has paid room for.
        request.events = Vec::new();
    }
    if let Some(before) = turn.before {
        // One that has ended without room is not in the way.
        let _ = before.await;
    }
    let admission = loop {
        match audit.ingest.flight.admit(Some(caller.name()), bytes, count).await {
            Ok(admission) => break admission,
            Err(error) => wait(audit, error, throttles).await?,
        }
    };
    // The next one may be gone with its stream.
    let _ = turn.admitted.send(());
    drop(turn.room);
    if count > MAX_BATCH_EVENTS {
        let why = status::batch_too_large(count, MAX_BATCH_EVENTS);
        return Ok((append::refuse_all(tally, count, &why), None, admission));
    }
    let (checked, entries) = append::check(audit, log, caller, request.events);
    tally.ages(&entries);
    append::tell_denied(audit, caller, &checked);
    if entries.is_empty() {
        return Ok((append::results(tally, checked, Vec::new(), false), None, admission));
    }
    let submission = Arc::new(Submission { producer: caller.name().clone(), mode: Mode::PerEvent, entries });
    let committed = loop {
        match audit.ingest.submit(log, Arc::clone(&submission), &admission).await {
            Ok(committed) => break committed,
            Err(error) => wait(audit, error, throttles).await?,
        }
    };
    tally.acked();
    let results = append::results(tally, checked, committed.verdicts, false);
    Ok((results, Some(committed.tree), admission))
}

/// Tells the client why its acks are late, and waits before the next try.
async fn wait(
    audit: &Audit,
    error: SubmitError,
    throttles: &mpsc::Sender<v1::StreamThrottle>,
) -> Result<(), NotCommitted> {
    match error {
        SubmitError::Draining => return Err(NotCommitted::Draining),
        SubmitError::StoreBroken => return Err(NotCommitted::Broken),
        SubmitError::Overloaded
        | SubmitError::OverShare
        | SubmitError::StoreUnavailable
        | SubmitError::StorageFull
        | SubmitError::NoSyncReplica
        | SubmitError::Unknown
        | SubmitError::TooManyLogs => {}
    }
    limits::count(&audit.metrics, error);
    // A notice that nobody has read yet says the same.
    let _ = throttles.try_send(notice(error));
    tokio::select! {
        () = sleep(RETRY_AFTER) => Ok(()),
        () = audit.drain.cancelled() => Err(NotCommitted::Draining),
    }
}

fn notice(error: SubmitError) -> v1::StreamThrottle {
    v1::StreamThrottle {
        reason: status::reason(error).to_owned(),
        retry_after: Some(pbjson_types::Duration::from(RETRY_AFTER)),
    }
}
