//! Makes every message of a call take room before it is read, so that the server never buffers more than
//! the budget says, whoever opens however many streams. A unary call that finds no room in time is told to
//! come back; a stream is not read until there is some, and its handler hears that it waits. The messages
//! of a stream are put together here, and go on by way of `handover`.
//!
//! A request of one message arrives within a while, or its call ends: one that is opened and left alone keeps a place.
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Frame;
use tokio::time::{Sleep, sleep};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::handover;
use crate::{
    auth::{
        Caller,
        rules::{self, Rule},
    },
    event::{Producer, limits::MAX_MESSAGE_BYTES},
    grpc::{limits, status},
    ingest::{
        Ingest,
        admission::{Received, Room},
    },
    telemetry::Metrics,
};

/// gRPC's frame around a message: one byte of flags, four of length.
const PREFIX: usize = 5;
/// How long a message may take to arrive once it has room: at 4 MiB, 1.1 Mbit/s. As long may the first of a call take
/// to begin, and the end of a request to follow its only one.
const ARRIVAL: Duration = Duration::from_secs(30);
/// Messages up to this size need no room, save those with events: a query or a health check must not queue
/// behind what producers send. Less than the headers of a call may take.
const FREE: usize = 4 << 10;
/// Bytes of a message without events: 1,000 ids of events or 1,000 values of a filter, of 512 bytes each. What says that
/// it is larger takes no room for what is to come.
const MAX_OTHER_BYTES: usize = 512 << 10;
/// The calls whose messages hold events.
const APPENDS: [&str; 2] = ["/chancery.v1.AuditService/Append", PATIENT];
/// The call whose messages wait for as long as it takes.
const PATIENT: &str = "/chancery.v1.AuditService/AppendStream";
/// The calls besides that one whose requests go on: their clients may wait between two messages.
const GOES_ON: &str = "/ServerReflectionInfo";

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
        let appends = APPENDS.contains(&head.uri.path());
        let most = match rules::of(head.uri.path()) {
            _ if appends => MAX_MESSAGE_BYTES,
            // Strangers take no room at all.
            Some((_, Rule::Anyone)) => FREE,
            _ => MAX_OTHER_BYTES,
        };
        // A call that needs no caller sends little.
        let caller = head.extensions.get::<Arc<Caller>>();
        let producer = caller.map_or_else(Producer::anonymous, |caller| caller.name().clone());
        let received = Received::default();
        head.extensions.insert(received.clone());
        let body = Messages {
            producer,
            ingest: Arc::clone(&self.layer.ingest),
            metrics: Arc::clone(&self.layer.metrics),
            patient: head.uri.path() == PATIENT,
            appends,
            most,
            single: head.uri.path() != PATIENT && !head.uri.path().ends_with(GOES_ON),
            received,
            body,
            rest: Bytes::new(),
            prefix: Vec::with_capacity(PREFIX),
            left: 0,
            whole: None,
            waits: None,
            late: (head.uri.path() != PATIENT).then(|| Box::pin(sleep(ARRIVAL))),
            begun: false,
        };
        self.inner.call(Request::from_parts(head, Body::new(body)))
    }
}

type Waiting = Pin<Box<dyn Future<Output = Result<Room, Status>> + Send>>;

/// A body that stops before each message until there is room for it.
struct Messages {
    ingest: Arc<Ingest>,
    metrics: Arc<Metrics>,
    producer: Producer,
    patient: bool,
    appends: bool,
    /// Bytes that a message may have.
    most: usize,
    /// Its request is one message.
    single: bool,
    received: Received,
    body: Body,
    /// What has arrived and is not passed on yet: at most one HTTP/2 frame.
    rest: Bytes,
    /// The next message's prefix, as far as it has arrived.
    prefix: Vec<u8>,
    /// Bytes of the current message that are still to come.
    left: usize,
    /// The current message of a stream, as far as it has arrived.
    whole: Option<BytesMut>,
    waits: Option<Waiting>,
    /// When what is to come next has taken too long.
    late: Option<Pin<Box<Sleep>>>,
    /// A message has begun.
    begun: bool,
}

impl Messages {
    /// Takes up a message that has room. What goes on of it now, if anything.
    fn begin(&mut self) -> Option<Bytes> {
        self.late = (self.left > 0 || self.single).then(|| Box::pin(sleep(ARRIVAL)));
        self.begun = true;
        let prefix = std::mem::replace(&mut self.prefix, Vec::with_capacity(PREFIX));
        // tonic itself refuses what claims to be compressed.
        if !self.patient || prefix[0] != 0 {
            return Some(Bytes::from(prefix));
        }
        self.whole = Some(BytesMut::with_capacity(self.left));
        None
    }

    /// Takes in more of the current message. What goes on of it now, if anything.
    fn pass(&mut self) -> Option<Bytes> {
        let inside = self.rest.split_to(self.left.min(self.rest.len()));
        self.left -= inside.len();
        if self.left == 0 && self.begun && !self.single {
            self.late = None;
        }
        match &mut self.whole {
            None => (!inside.is_empty()).then_some(inside),
            Some(whole) => {
                whole.extend_from_slice(&inside);
                if self.left > 0 {
                    return None;
                }
                self.whole.take().map(|whole| handover::leave(whole.freeze()))
            }
        }
    }

    /// Reads the prefix of the next message and so its length; true when it is complete.
    fn next_message(&mut self) -> bool {
        let missing = (PREFIX - self.prefix.len()).min(self.rest.len());
        self.prefix.extend_from_slice(&self.rest.split_to(missing));
        let complete = self.prefix.len() == PREFIX;
        if complete {
            self.left = self.prefix[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        }
        complete
    }

    /// Whether the next message needs no room.
    const fn is_free(&self) -> bool {
        !self.appends && self.left <= FREE
    }

    /// Whether a message, or the only one, would be missing if the request ended here.
    const fn is_cut_off(&self) -> bool {
        self.left > 0 || !self.prefix.is_empty() || (self.single && !self.begun)
    }

    /// Ends a request that is.
    fn cut_off(&mut self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        (self.left, self.whole, self.begun) = (0, None, true);
        self.prefix.clear();
        Poll::Ready(Some(Err(status::malformed_message())))
    }

    /// Begins to wait for room for the message whose prefix was read.
    fn wait(&mut self) {
        let (bytes, most, patient) = (self.left, self.most, self.patient);
        let (ingest, producer) = (Arc::clone(&self.ingest), self.producer.clone());
        let (metrics, received) = (Arc::clone(&self.metrics), self.received.clone());
        self.waits = Some(Box::pin(async move {
            // Its prefix is enough to refuse it; the rest is never read.
            if bytes > most {
                return Err(status::message_too_large(most));
            }
            loop {
                let error = match ingest.receive.receive(&producer, bytes).await {
                    Ok(room) => return Ok(room),
                    Err(error) => error,
                };
                limits::count(&metrics, error);
                if !patient {
                    return Err(status::not_committed(error));
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
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
                if let Some(prefix) = this.begin() {
                    return Poll::Ready(Some(Ok(Frame::data(prefix))));
                }
            }
            if let Some(inside) = this.pass() {
                return Poll::Ready(Some(Ok(Frame::data(inside))));
            }
            if !this.rest.is_empty() {
                if this.next_message() && !this.is_free() {
                    this.wait();
                } else if this.prefix.len() == PREFIX
                    && let Some(prefix) = this.begin()
                {
                    return Poll::Ready(Some(Ok(Frame::data(prefix))));
                }
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    // Trailers end a request, and one without a message is none.
                    Err(_) if this.is_cut_off() => return this.cut_off(),
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                // What is not whole would otherwise pass for a clean end.
                Poll::Ready(None) if this.is_cut_off() => return this.cut_off(),
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
