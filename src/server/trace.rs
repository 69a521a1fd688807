//! One span for each call, from its headers to its status, in the trace that its caller has begun. What is logged
//! while it runs bears its ids. Where nothing is exported, and for calls that are not sampled, the layer does nothing.
//!
//! Checks of health have no span: probes make them every second, and nothing is learnt of them.
use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{listener::Peer, measured};
use crate::{
    auth::rules::{self, Rule},
    telemetry::{Call, CallSpan},
};

/// Adds [`Trace`].
#[derive(Clone)]
pub struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner }
    }
}

/// The service whose calls have spans.
#[derive(Clone)]
pub struct Trace<S> {
    inner: S,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(span) = begin(&request) else { return self.inner.call(request) };
        let answer = {
            let _entered = span.enter();
            self.inner.call(request)
        };
        Box::pin(async move {
            let mut span = span;
            let answer = span.polled(answer).await?;
            // A call that only fails says so in its headers, others in their trailers.
            let ended = end(&mut span, answer.headers());
            Ok(if ended { answer } else { answer.map(|body| Body::new(Traced { body, span })) })
        })
    }
}

fn begin(request: &Request<Body>) -> Option<CallSpan> {
    let method = match rules::of(request.uri().path()) {
        Some((_, Rule::Anyone)) => return None,
        Some((method, _)) => Some(method),
        None => None,
    };
    CallSpan::begin(Call {
        method,
        headers: request.headers(),
        server: request.uri().host().map(|host| (host, request.uri().port_u16())),
        client: request.extensions().get::<Peer>().map(|peer| peer.address.ip()),
    })
}

/// Whether the span has ended, because there is a status.
fn end(span: &mut CallSpan, headers: &HeaderMap) -> bool {
    let Some(code) = measured::code(headers) else { return false };
    span.end(code);
    true
}

/// An answer that is still being sent, with the span of its call.
struct Traced {
    body: Body,
    span: CallSpan,
}

impl http_body::Body for Traced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = {
            let _entered = this.span.enter();
            pin!(&mut this.body).poll_frame(context)
        };
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            end(&mut this.span, trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
