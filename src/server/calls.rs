//! Bounds how many calls run at once, whatever service they are of and however many connections they come over: those
//! of health and reflection too, which have no limit of their own. A call takes its place before anything is read of
//! it, and gives it back when its answer has ended.
//!
//! Append streams, queries and events in flight have limits of their own, below this one, that say whose they are.
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::measured::Measured;
use crate::{
    auth::rules::{self, Rule},
    grpc::status,
    telemetry::{LoadShed, Metrics},
};

/// Calls at once. The limits below it add up to 4,352 (4,096 append streams, 256 queries), so as many again are left
/// for short calls. One that has sent nothing but its headers takes 14 KiB with its share of the connection: all of
/// them 112 MiB. It is 64 connections with as many streams as one may have.
const MAX_CALLS: usize = 8_192;

/// Of those, calls of callers who have to say who they are.
const MAX_OF_CALLERS: usize = MAX_CALLS - MAX_OPEN_TO_ALL;
/// Of those, one caller's, so that a single one cannot take all: 1,920, which is 15 full connections. `gate` counts
/// them, once it knows who calls.
pub const MAX_OF_ONE_CALLER: usize = MAX_OF_CALLERS / 4;
/// And calls for which nobody has to say who they are: probes, and watchers of health. Strangers can take no more
/// places than these for as long as they like; all others are given back when they turn out to be strangers.
const MAX_OPEN_TO_ALL: usize = 512;

/// Adds [`Calls`].
#[derive(Clone)]
pub struct CallsLayer {
    room: Arc<Semaphore>,
    open_to_all: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl CallsLayer {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let room = |places| Arc::new(Semaphore::new(places));
        Self { room: room(MAX_OF_CALLERS), open_to_all: room(MAX_OPEN_TO_ALL), metrics }
    }
}

impl<S> Layer<S> for CallsLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Calls { inner, layer: self.clone() }
    }
}

/// The service whose calls are counted.
#[derive(Clone)]
pub struct Calls<S> {
    inner: S,
    layer: CallsLayer,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let CallsLayer { room, open_to_all, metrics } = &self.layer;
        let rule = rules::of(request.uri().path());
        let (room, places) = match rule {
            Some((_, Rule::Anyone)) => (open_to_all, MAX_OPEN_TO_ALL),
            _ => (room, MAX_OF_CALLERS),
        };
        let mut measured = Measured::begin(rule.map(|(method, _)| method), Arc::clone(metrics));
        let Ok(permit) = Arc::clone(room).try_acquire_owned() else {
            metrics.calls.shed(LoadShed::calls);
            let refused = status::too_many_calls(places).into_http();
            measured.heard(refused.headers());
            return Box::pin(std::future::ready(Ok(refused)));
        };
        let place = Place::take(permit, Arc::clone(metrics));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            measured.heard(answer.headers());
            Ok(answer.map(|body| Body::new(Placed { body, measured, _place: place })))
        })
    }
}

/// The place of one call, until it is dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Place {
    fn take(permit: OwnedSemaphorePermit, metrics: Arc<Metrics>) -> Self {
        metrics.calls.active(1);
        Self { _permit: permit, metrics }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.calls.active(-1);
    }
}

/// An answer whose call has a place for as long as it is being sent.
struct Placed {
    body: Body,
    measured: Measured,
    _place: Place,
}

impl http_body::Body for Placed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.measured.heard(trailers);
                }
            }
            Some(Err(status)) => self.measured.ended = Some(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
