//! `AppendStream`: batches in flight on one stream, acked in order.
//!
//! One task per stream. It reads a batch, checks it (`append::check`), and lets the sequencer commit it
//! while it reads the next, up to the credits. Acks go out in the order of the batches. A batch that
//! cannot be committed now is tried again until it can, because the client has nothing better to do
//! with it; the client hears why it waits. The task ends when the client has closed its side and
//! everything is acked, when the server drains, or when the client is gone; what it has queued by then
//! is committed all the same, and answered as a duplicate when it is sent again.
use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesOrdered};
use prost::Message as _;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tonic::{Status, Streaming};

use super::{
    append::{self, Tally},
    audit::{Audit, log_name},
    status,
};
use crate::{
    event::{
        LogName, Producer,
        limits::{MAX_BATCH_EVENTS, MAX_EVENT_BYTES, MAX_MESSAGE_BYTES},
    },
    ingest::{
        SubmitError,
        sequencer::{Mode, Submission},
    },
    proto::v1,
};

/// Batches of one stream that may be unacked. Two keep the sequencer busy; the rest covers the way
/// there and back. Bytes are bounded by the budget of `ingest`, over all streams.
const CREDITS: usize = 16;
/// How long a stream lives. After that the client opens another one, perhaps on another replica.
const STREAM_AGE: Duration = Duration::from_secs(3600);
/// Pause before a batch that could not be committed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type Answer = Result<v1::AppendStreamResponse, Status>;

/// Begins to serve a stream.
pub fn run(
    audit: Arc<Audit>,
    producer: Producer,
    inbound: Streaming<v1::AppendStreamRequest>,
) -> mpsc::Receiver<Answer> {
    // Acks of a client that does not read wait here and then stop the reading of its batches.
    let (answers, receiver) = mpsc::channel(CREDITS);
    let tracker = audit.readers.clone();
    tracker.spawn(async move {
        let mut stream = Stream { audit, producer, log: None, last_batch: 0, answers: answers.clone() };
        if let Err(Ended::With(error)) = stream.serve(inbound).await {
            // The client may be gone.
            let _ = answers.send(Err(error)).await;
        }
    });
    receiver
}

/// Why a stream ended before its client closed it.
enum Ended {
    /// The client does not listen any more.
    Gone,
    /// The client broke the rules of the stream, or its connection broke.
    With(Status),
}

struct Stream {
    audit: Arc<Audit>,
    producer: Producer,
    log: Option<LogName>,
    last_batch: u64,
    answers: mpsc::Sender<Answer>,
}

/// A batch whose outcome is final, or why it is not.
struct Settled {
    batch_number: u64,
    outcome: Result<(Vec<v1::EventResult>, u64), NotCommitted>,
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
        self.answer(v1::AppendStreamResponse { settings: Some(settings()), ..Default::default() }).await?;
        let (throttles, mut throttled) = mpsc::channel(1);
        let mut in_flight = FuturesOrdered::new();
        let age = sleep_until(Instant::now() + STREAM_AGE);
        tokio::pin!(age);
        let drain = self.audit.drain.clone();
        let mut open = true;
        while open || !in_flight.is_empty() {
            tokio::select! {
                biased;
                Some(settled) = in_flight.next(), if !in_flight.is_empty() => {
                    let Settled { batch_number, outcome } = settled;
                    let (results, tree_size) = match outcome {
                        Ok(outcome) => outcome,
                        Err(NotCommitted::Draining) => return Ok(()),
                        Err(NotCommitted::Broken) => return Err(Ended::With(status::internal())),
                    };
                    self.answer(v1::AppendStreamResponse {
                        acked_through: batch_number,
                        results,
                        tree_size,
                        ..Default::default()
                    }).await?;
                }
                Some(throttle) = throttled.recv() => {
                    self.answer(v1::AppendStreamResponse { throttle: Some(throttle), ..Default::default() }).await?;
                }
                () = drain.cancelled(), if open => {
                    open = false;
                    self.drain("SHUTDOWN").await?;
                }
                () = &mut age, if open => {
                    open = false;
                    self.drain("STREAM_AGE").await?;
                }
                message = inbound.message(), if open && in_flight.len() < CREDITS => match message {
                    Ok(Some(request)) => in_flight.push_back(self.batch(request, throttles.clone())?),
                    Ok(None) => open = false,
                    Err(error) => return Err(Ended::With(error)),
                },
            }
        }
        Ok(())
    }

    async fn answer(&self, answer: v1::AppendStreamResponse) -> Result<(), Ended> {
        self.answers.send(Ok(answer)).await.map_err(|_| Ended::Gone)
    }

    async fn drain(&self, reason: &str) -> Result<(), Ended> {
        let drain = v1::StreamDrain { reason: reason.to_owned() };
        self.answer(v1::AppendStreamResponse { drain: Some(drain), ..Default::default() }).await
    }

    /// Checks the rules of the stream and returns the work that checks and commits the batch.
    fn batch(
        &mut self,
        request: v1::AppendStreamRequest,
        throttles: mpsc::Sender<v1::StreamThrottle>,
    ) -> Result<impl Future<Output = Settled> + Send + 'static, Ended> {
        let log = self.log(&request.log).map_err(Ended::With)?;
        let batch_number = request.batch_number;
        self.number(batch_number).map_err(Ended::With)?;
        let count = request.events.len();
        if count == 0 {
            return Err(Ended::With(status::empty_batch(MAX_BATCH_EVENTS)));
        }
        let audit = Arc::clone(&self.audit);
        let producer = self.producer.clone();
        Ok(async move {
            let tally = Tally::received(&audit.metrics, count, false);
            if count > MAX_BATCH_EVENTS {
                let results =
                    append::refuse_all(&tally, count, &status::batch_too_large(count, MAX_BATCH_EVENTS));
                return Settled { batch_number, outcome: Ok((results, 0)) };
            }
            Settled {
                batch_number,
                outcome: commit(&audit, &tally, &log, producer, request, &throttles).await,
            }
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
            None => Ok(self.log.insert(log_name(name)?).clone()),
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
}

fn settings() -> v1::StreamSettings {
    let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    v1::StreamSettings {
        max_batch_events: number(MAX_BATCH_EVENTS),
        max_event_bytes: number(MAX_EVENT_BYTES),
        max_message_bytes: number(MAX_MESSAGE_BYTES),
        max_unacked_batches: number(CREDITS),
    }
}

/// Checks and commits a batch, trying again for as long as it takes.
async fn commit(
    audit: &Audit,
    tally: &Tally,
    log: &LogName,
    producer: Producer,
    request: v1::AppendStreamRequest,
    throttles: &mpsc::Sender<v1::StreamThrottle>,
) -> Result<(Vec<v1::EventResult>, u64), NotCommitted> {
    let bytes = request.encoded_len();
    let admission = loop {
        match audit.ingest.admit(bytes).await {
            Ok(admission) => break admission,
            Err(error) => wait(audit, error, throttles).await?,
        }
    };
    let (checked, entries) = append::check(audit, log, &producer, request.events);
    if entries.is_empty() {
        return Ok((append::results(tally, checked, Vec::new(), false), 0));
    }
    let submission = Arc::new(Submission { producer, mode: Mode::PerEvent, entries });
    let committed = loop {
        match audit.ingest.submit(log, Arc::clone(&submission), &admission).await {
            Ok(committed) => break committed,
            Err(error) => wait(audit, error, throttles).await?,
        }
    };
    Ok((append::results(tally, checked, committed.verdicts, false), committed.tree_size))
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
        | SubmitError::StoreUnavailable
        | SubmitError::Unknown
        | SubmitError::TooManyLogs => {}
    }
    // A notice that nobody has read yet says the same.
    let _ = throttles.try_send(v1::StreamThrottle {
        reason: status::reason(error).to_owned(),
        retry_after: Some(pbjson_types::Duration::from(RETRY_AFTER)),
    });
    tokio::select! {
        () = sleep(RETRY_AFTER) => Ok(()),
        () = audit.drain.cancelled() => Err(NotCommitted::Draining),
    }
}
