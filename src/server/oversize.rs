//! Rewrites tonic's answer to a message above the size limit. tonic says `OUT_OF_RANGE`, which OTLP-style
//! exporters retry for ever; the truth is `INVALID_ARGUMENT`: this message will never be accepted.
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use tonic::{Code, body::Body};
use tower::{Layer, Service};

use crate::{event::limits::MAX_MESSAGE_BYTES, grpc::status};

/// Adds [`Oversize`].
#[derive(Clone, Copy)]
pub struct OversizeLayer;

impl<S> Layer<S> for OversizeLayer {
    type Service = Oversize<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Oversize { inner }
    }
}

/// The service with the rewritten answer.
#[derive(Clone)]
pub struct Oversize<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Oversize<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if is_oversize(answer.headers()) {
                return Ok(status::message_too_large(MAX_MESSAGE_BYTES).into_http());
            }
            Ok(answer)
        })
    }
}

/// tonic's own answer is a response of headers only, without details; every error of ours has details.
fn is_oversize(headers: &HeaderMap) -> bool {
    let out_of_range =
        headers.get("grpc-status").is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::OutOfRange);
    out_of_range && !headers.contains_key("grpc-status-details-bin")
}
