//! Makes every message of a call take room before it is read, so that the server never buffers more than
//! the budget says, whoever opens however many streams. A unary call that finds no room in time is told to
//! come back; a stream is not read until there is some, and its handler hears that it waits.
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use tokio::time::{Sleep, sleep};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{
    event::{Producer, limits::MAX_MESSAGE_BYTES},
    grpc::{audit::caller, limits, status},
    ingest::{
        Ingest, SubmitError,
        admission::{Received, Room},
    },
    telemetry::Metrics,
};

/// gRPC's frame around a message: one byte of flags, four of length.
const PREFIX: usize = 5;
/// How long a message may take to arrive once it has room: at 4 MiB, 1.1 Mbit/s.
const ARRIVAL: Duration = Duration::from_secs(30);
/// The call whose messages wait for as long as it takes.
const PATIENT: &str = "/chancery.v1.AuditService/AppendStream";

/// Adds [`Intake`].
#[derive(Clone)]
pub struct IntakeLayer {
    ingest: Arc<Ingest>,
    metrics: Arc<Metrics>,
}

impl IntakeLayer {
    pub fn new(ingest: Arc<Ingest>, metrics: Arc<Metrics>) -> Self {
        Self { ingest, metrics }
    }
}

impl<S> Layer<S> for IntakeLayer {
    type Service = Intake<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Intake { inner, layer: self.clone() }
    }
}

/// The service whose requests take room.
#[derive(Clone)]
pub struct Intake<S> {
    inner: S,
    layer: IntakeLayer,
}

impl<S> Service<Request<Body>> for Intake<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let received = Received::default();
        head.extensions.insert(received.clone());
        let body = Messages {
            // A name that is none is refused by the handler.
            producer: caller(&head.headers).unwrap_or_else(|_| Producer::anonymous()),
            ingest: Arc::clone(&self.layer.ingest),
            metrics: Arc::clone(&self.layer.metrics),
            patient: head.uri.path() == PATIENT,
            received,
            body,
            rest: Bytes::new(),
            prefix: Vec::with_capacity(PREFIX),
            left: 0,
            waits: None,
            late: None,
        };
        self.inner.call(Request::from_parts(head, Body::new(body)))
    }
}

type Waiting = Pin<Box<dyn Future<Output = Result<Room, SubmitError>> + Send>>;

/// A body that stops before each message until there is room for it.
struct Messages {
    ingest: Arc<Ingest>,
    metrics: Arc<Metrics>,
    producer: Producer,
    patient: bool,
    received: Received,
    body: Body,
    /// What has arrived and is not passed on yet: at most one HTTP/2 frame.
    rest: Bytes,
    /// The next message's prefix, as far as it has arrived.
    prefix: Vec<u8>,
    /// Bytes of the current message that are still to come.
    left: usize,
    waits: Option<Waiting>,
    /// When the current message has taken too long.
    late: Option<Pin<Box<Sleep>>>,
}

impl Messages {
    /// Passes on what belongs to messages that have room. `None` when more has to arrive first.
    fn pass(&mut self) -> Option<Bytes> {
        let inside = self.left.min(self.rest.len());
        self.left -= inside;
        if self.left == 0 {
            self.late = None;
        }
        (inside > 0).then(|| self.rest.split_to(inside))
    }

    /// Reads the prefix of the next message; true when it is complete.
    fn next_message(&mut self) -> bool {
        let missing = (PREFIX - self.prefix.len()).min(self.rest.len());
        self.prefix.extend_from_slice(&self.rest.split_to(missing));
        self.prefix.len() == PREFIX
    }

    /// Begins to wait for room for the message whose prefix was read.
    fn wait(&mut self) {
        let length = self.prefix[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.left = length;
        let (ingest, producer) = (Arc::clone(&self.ingest), self.producer.clone());
        let (patient, received) = (self.patient, self.received.clone());
        let metrics = Arc::clone(&self.metrics);
        // A message that is too large is refused by its prefix and never read.
        let bytes = if length > MAX_MESSAGE_BYTES { 0 } else { length };
        self.waits = Some(Box::pin(async move {
            loop {
                let error = match ingest.receive.take(Some(&producer), bytes).await {
                    Ok(room) => return Ok(room),
                    Err(error) => error,
                };
                limits::count(&metrics, error);
                if !patient {
                    return Err(error);
                }
                received.stall();
            }
        }));
    }
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if let Some(waits) = &mut this.waits {
                let room = ready!(waits.as_mut().poll(context));
                this.waits = None;
                match room {
                    Ok(room) => this.received.put(room),
                    Err(error) => return Poll::Ready(Some(Err(status::not_committed(error)))),
                }
                if this.left > 0 {
                    this.late = Some(Box::pin(sleep(ARRIVAL)));
                }
                let prefix = Bytes::from(std::mem::replace(&mut this.prefix, Vec::with_capacity(PREFIX)));
                return Poll::Ready(Some(Ok(Frame::data(prefix))));
            }
            if let Some(inside) = this.pass() {
                return Poll::Ready(Some(Ok(Frame::data(inside))));
            }
            if !this.rest.is_empty() {
                if this.next_message() {
                    this.wait();
                }
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    if let Some(late) = &mut this.late {
                        ready!(late.as_mut().poll(context));
                        return Poll::Ready(Some(Err(status::message_too_slow(ARRIVAL))));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
