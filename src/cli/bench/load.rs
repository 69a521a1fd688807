//! A load: encoded batches, sent over several connections by callers or streams, and what came of them.
//!
//! Without a rate every caller sends its next batch when the last one is answered (a closed loop), which
//! finds the most that a server takes. With a rate the batches have a timetable (an open loop): a latency
//! counts from the moment when a batch was due, so a server that stalls cannot hide the batches that had
//! to wait meanwhile. Does not: make batches, print.
//! Called by: `bench/append.rs`, `bench/ceiling.rs`.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use clap::ValueEnum;
use hdrhistogram::Histogram;
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, client::Grpc};

use super::{
    generate::Prepared,
    raw::{Frame, RawCodec},
};
use crate::{
    cli::{
        ambient,
        connect::{Connection, DECODE_LIMIT},
        failure::connection_lost,
    },
    proto::v1::{AppendResponse, AppendResult, AppendStreamResponse, EventResult},
};

/// How batches are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// A call of Append each.
    Unary,
    /// One AppendStream per connection.
    Stream,
}

/// What is sent, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The RPC.
    pub way: Way,
    /// Batches under way at a time on each connection.
    pub in_flight: u16,
    /// Time between two batches, over all connections; `None` for as fast as they are answered.
    pub interval: Option<Duration>,
}

/// What came of a load.
pub struct Seen {
    /// Microseconds from the moment when a batch was due (or sent, without a rate) to its answer.
    pub latencies: Histogram<u64>,
    /// Events that are stored.
    pub accepted: u64,
    /// Events that are not.
    pub refused: u64,
    /// The first call or stream that failed.
    pub first_error: Option<Box<Status>>,
}

impl Seen {
    /// Nothing yet.
    #[expect(clippy::expect_used, reason = "three digits are within the library's bounds")]
    pub fn new() -> Self {
        // Unwrap safety: only digits above five are refused. It grows with its values.
        let latencies = Histogram::new(3).expect("a histogram");
        Self { latencies, accepted: 0, refused: 0, first_error: None }
    }

    /// Takes another one's figures in.
    pub fn add(&mut self, other: Self) {
        // It grows with its values, so nothing is out of range.
        let _ = self.latencies.add(&other.latencies);
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    fn answered(&mut self, since: Instant, events: u64, results: &[EventResult]) {
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        // It grows with its values, so nothing is out of range.
        let _ = self.latencies.record(micros);
        let accepted = results.iter().filter(|it| it.result == AppendResult::Accepted as i32).count() as u64;
        self.accepted += accepted;
        self.refused += events - accepted.min(events);
    }

    fn failed(&mut self, events: u64, status: Box<Status>) {
        self.refused += events;
        self.first_error.get_or_insert(status);
    }
}

/// The batches of a round, in their order.
#[derive(Clone)]
enum Timetable {
    /// Each goes as soon as somebody can send it.
    Queue(Arc<Mutex<VecDeque<Prepared>>>),
    /// Each goes when it is due, which stands beside it.
    Due(Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<(Instant, Prepared)>>>),
}

impl Timetable {
    fn new(round: VecDeque<Prepared>, interval: Option<Duration>) -> Self {
        let Some(interval) = interval else { return Self::Queue(Arc::new(Mutex::new(round))) };
        let (sender, due) = mpsc::unbounded_channel();
        let start = ambient::start();
        // A thread, because it wakes up within some 60 microseconds; the runtime's timer counts in
        // milliseconds.
        std::thread::spawn(move || {
            for (at, prepared) in (0_u32..).zip(round) {
                let due = start + interval * at;
                std::thread::sleep(due.saturating_duration_since(ambient::start()));
                if sender.send((due, prepared)).is_err() {
                    return;
                }
            }
        });
        Self::Due(Arc::new(tokio::sync::Mutex::new(due)))
    }

    /// Waits until the next batch is due. Its latency counts from the instant that comes with it; `None` for
    /// the instant when it is sent.
    async fn next(&self) -> Option<(Option<Instant>, Prepared)> {
        match self {
            Self::Queue(queue) => {
                let prepared = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
                Some((None, prepared))
            }
            Self::Due(due) => {
                let (due, prepared) = due.lock().await.recv().await?;
                Some((Some(due), prepared))
            }
        }
    }
}

/// Sends a round of batches and waits for every answer.
pub async fn send(connections: &[Connection], plan: Plan, round: VecDeque<Prepared>) -> Seen {
    let timetable = Timetable::new(round, plan.interval);
    let mut workers = JoinSet::new();
    for connection in connections {
        match plan.way {
            Way::Unary => {
                for _ in 0..plan.in_flight {
                    workers.spawn(call(connection.clone(), timetable.clone()));
                }
            }
            Way::Stream => {
                workers.spawn(stream(connection.clone(), timetable.clone(), plan.in_flight));
            }
        }
    }
    let mut all = Seen::new();
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(seen) => all.add(seen),
            Err(error) => all.failed(0, Box::new(Status::internal(error.to_string()))),
        }
    }
    all
}

/// One caller: sends batches until there are no more or the connection is lost.
async fn call(connection: Connection, timetable: Timetable) -> Seen {
    let mut seen = Seen::new();
    while let Some((due, prepared)) = timetable.next().await {
        let since = due.unwrap_or_else(ambient::start);
        let mut client = Grpc::new(connection.service()).max_decoding_message_size(DECODE_LIMIT);
        let path = PathAndQuery::from_static("/chancery.v1.AuditService/Append");
        let request = Request::new(Frame::from(prepared.request));
        let sent = async {
            client.ready().await.map_err(|error| Status::from_error(error.into()))?;
            client.unary(request, path, RawCodec).await
        };
        let answer = connection.unary(sent).await.and_then(|bytes| {
            AppendResponse::decode(bytes).map_err(|error| Box::new(Status::internal(error.to_string())))
        });
        match answer {
            Ok(answer) => seen.answered(since, prepared.events, &answer.results),
            Err(status) => {
                let lost = connection_lost(&status);
                seen.failed(prepared.events, status);
                if lost {
                    break;
                }
            }
        }
    }
    seen
}

/// One stream: batches go out while acks come in, up to `in_flight` and what the server allows.
async fn stream(connection: Connection, timetable: Timetable, in_flight: u16) -> Seen {
    let mut seen = Seen::new();
    let sent = Arc::new(Mutex::new(VecDeque::new()));
    if let Err(status) = streaming(&connection, timetable, in_flight, &sent, &mut seen).await {
        seen.failed(0, Box::new(status));
    }
    let unacked = std::mem::take(&mut *sent.lock().unwrap_or_else(PoisonError::into_inner));
    seen.refused += unacked.into_iter().map(|(_, events)| events).sum::<u64>();
    seen
}

/// When each unacked batch was due, and its events.
type Sent = Arc<Mutex<VecDeque<(Instant, u64)>>>;

async fn streaming(
    connection: &Connection,
    timetable: Timetable,
    in_flight: u16,
    sent: &Sent,
    seen: &mut Seen,
) -> Result<(), Status> {
    let mut client = Grpc::new(connection.service()).max_decoding_message_size(DECODE_LIMIT);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let (batches, receiver) = mpsc::channel(usize::from(in_flight));
    let path = PathAndQuery::from_static("/chancery.v1.AuditService/AppendStream");
    let request = Request::new(ReceiverStream::new(receiver));
    let mut answers = client.streaming(request, path, RawCodec).await?.into_inner();
    let credits = Arc::new(Semaphore::new(0));
    let sending = tokio::spawn(feed(batches, timetable, Arc::clone(&credits), Arc::clone(sent)));
    while let Some(bytes) = answers.message().await? {
        let answer =
            AppendStreamResponse::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
        if let Some(settings) = &answer.settings {
            let granted = u32::from(in_flight).min(settings.max_unacked_batches);
            credits.add_permits(granted as usize);
        }
        if answer.acked_through > 0 {
            let acked = sent.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some((since, events)) = acked {
                seen.answered(since, events, &answer.results);
            }
            credits.add_permits(1);
        }
    }
    sending.abort();
    Ok(())
}

/// Sends batches, numbered from 1, as the credits allow. Ends the stream when there are no more.
async fn feed(batches: mpsc::Sender<Frame>, timetable: Timetable, credits: Arc<Semaphore>, sent: Sent) {
    for number in 1_u64.. {
        let Some((due, prepared)) = timetable.next().await else { return };
        // The semaphore is never closed.
        let Ok(credit) = credits.acquire().await else { return };
        credit.forget();
        let since = due.unwrap_or_else(ambient::start);
        sent.lock().unwrap_or_else(PoisonError::into_inner).push_back((since, prepared.events));
        let mut head = BytesMut::with_capacity(16);
        prost::encoding::uint64::encode(BATCH_NUMBER, &number, &mut head);
        if batches.send(Frame { head: head.freeze(), body: prepared.request }).await.is_err() {
            return;
        }
    }
}

/// The field of AppendStreamRequest that stands in front of a batch that was encoded before its number was
/// known.
const BATCH_NUMBER: u32 = 2;
