//! Gives up reads when the server goes away (`grpc::leaving`): those of which the self-audit is told only when they have
//! an answer. Reads of events do it themselves, and streams are told by who writes them.
use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::Either;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::{auth::rules, grpc::leaving::unless_over};

/// Adds [`Parting`].
#[derive(Clone)]
pub struct PartingLayer {
    /// Cancelled when the server begins to go away.
    pub drain: CancellationToken,
}

impl<S> Layer<S> for PartingLayer {
    type Service = Parting<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Parting { inner, drain: self.drain.clone() }
    }
}

/// The service whose reads are given up.
#[derive(Clone)]
pub struct Parting<S> {
    inner: S,
    drain: CancellationToken,
}

type Read<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for Parting<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Read<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let may_be_dropped =
            rules::of(request.uri().path()).is_some_and(|(_, rule)| rules::may_be_dropped(rule));
        let answering = self.inner.call(request);
        if !may_be_dropped {
            return Either::Left(answering);
        }
        let drain = self.drain.clone();
        Either::Right(Box::pin(async move {
            let answer = unless_over(&drain, async { Ok(answering.await) }).await;
            answer.unwrap_or_else(|status| Ok(status.into_http()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use tokio::time::sleep;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// What becomes of a call that takes a minute, two seconds after which the server goes away.
    async fn status_of(method: &str) -> Option<String> {
        let drain = CancellationToken::new();
        let slow = service_fn(|_: Request<Body>| async {
            sleep(Duration::from_secs(60)).await;
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let service = PartingLayer { drain: drain.clone() }.layer(slow);
        let request = Request::builder().uri(format!("/chancery.v1.{method}")).body(Body::empty());
        let call = tokio::spawn(service.oneshot(request.expect("a request")));
        sleep(Duration::from_secs(2)).await;
        drain.cancel();
        let answer = call.await.expect("an end").expect("an answer");
        answer.headers().get("grpc-status").map(|code| code.to_str().expect("a number").to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_given_up_and_nothing_else() {
        for read in ["ProofService/GetInclusionProof", "ProducerService/GetProducer"] {
            assert_eq!(status_of(read).await.as_deref(), Some("14"), "{read}");
        }
        // The last one does it itself.
        for other in ["AuditService/Append", "AdminService/EraseSubject", "AuditService/CountEvents"] {
            assert_eq!(status_of(other).await, None, "{other}");
        }
    }
}
