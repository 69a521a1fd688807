//! Ends the streams of a connection that is old enough, with a status that says so.
//!
//! Without it a query that follows for ever would keep its connection for ever, and with it the certificate by
//! which it was begun. Its client continues with its last resume token, over a new connection. Called by: `server`,
//! as a layer around all services.
use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::Map};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::listener::Peer;
use crate::grpc::status;

/// Adds [`Age`].
#[derive(Clone, Copy)]
pub struct AgeLayer;

impl<S> Layer<S> for AgeLayer {
    type Service = Age<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Age { inner }
    }
}

/// The service whose answers end with their connection.
#[derive(Clone)]
pub struct Age<S> {
    inner: S,
}

type Answered<E> = Box<dyn FnOnce(Result<Response<Body>, E>) -> Result<Response<Body>, E> + Send>;

impl<S> Service<Request<Body>> for Age<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Map<S::Future, Answered<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let ends_at = request.extensions().get::<Peer>().map(|peer| peer.ends_at);
        let answer = self.inner.call(request);
        answer.map(Box::new(move |answered: Result<Response<Body>, S::Error>| {
            answered.map(|answer| match ends_at {
                Some(at) => answer.map(|body| Body::new(Ending { body, at, wakes: None, is_over: false })),
                None => answer,
            })
        }))
    }
}

/// A body that ends at a time.
struct Ending {
    body: Body,
    at: Instant,
    /// Only once there is something to wait for: most answers are there at once.
    wakes: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        if Instant::now() < this.at {
            let frame = Pin::new(&mut this.body).poll_frame(context);
            if frame.is_ready() {
                return frame;
            }
            let at = this.at;
            let wakes = this.wakes.get_or_insert_with(|| Box::pin(sleep_until(at)));
            ready!(wakes.as_mut().poll(context));
        }
        this.is_over = true;
        // Whatever fed it ends with it.
        this.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(
            status::connection_aged().add_header(&mut trailers).map(|()| Frame::trailers(trailers)),
        ))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body::Body as _;
    use tokio_stream::StreamExt as _;

    use super::*;

    struct Frames(tokio::sync::mpsc::Receiver<Bytes>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    /// A time for which nothing else happens, and a body whose sender does not go away.
    async fn until_the_end(ready: usize) -> (usize, HeaderMap) {
        let (sender, receiver) = tokio::sync::mpsc::channel(ready.max(1));
        for _ in 0..ready {
            sender.try_send(Bytes::from_static(b"x")).expect("room");
        }
        let at = Instant::now() + Duration::from_secs(3600);
        let body = Ending { body: Body::new(Frames(receiver)), at, wakes: None, is_over: false };
        let mut body = std::pin::pin!(body);
        let frames = futures::stream::poll_fn(|context| body.as_mut().poll_frame(context));
        let frames: Vec<_> = frames.collect::<Vec<_>>().await;
        assert!(sender.is_closed(), "what feeds the body hears of its end");
        let mut data = 0;
        let mut trailers = HeaderMap::new();
        for frame in frames {
            match frame.expect("a frame").into_trailers() {
                Ok(found) => trailers = found,
                Err(_) => data += 1,
            }
        }
        (data, trailers)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_never_ends_is_ended_with_a_reason() {
        for ready in [0, 3] {
            let (data, trailers) = until_the_end(ready).await;
            assert_eq!(data, ready);
            assert_eq!(trailers["grpc-status"], "14", "UNAVAILABLE: {trailers:?}");
        }
    }
}
