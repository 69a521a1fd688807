//! Before every call: who makes it, and whether it may call the method at all. What it may do with which log is for the
//! handler to ask (`grpc::may`); a method without a rule is not there. What is refused here or behind is logged.
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};

use super::{listener::Peer, tenure::Tenure};
use crate::{
    auth::{
        Access, Authenticator, Caller, Credentials,
        rules::{self, Rule},
    },
    grpc::status,
};

/// Adds [`Gate`].
#[derive(Clone)]
pub struct GateLayer {
    authenticator: Arc<Authenticator>,
}

impl GateLayer {
    pub const fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate { inner, layer: self.clone() }
    }
}

/// The service behind the gate.
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    layer: GateLayer,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that is ready makes the call.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let authenticator = Arc::clone(&self.layer.authenticator);
        Box::pin(async move {
            let Some((method, rule)) = rules::of(request.uri().path()) else {
                return Ok(status::unknown_method().into_http());
            };
            let peer = request.extensions().get::<Peer>().cloned();
            if rule == Rule::Anyone {
                // Where everybody may do everything nobody is a stranger.
                if let (Access::Open, Some(peer)) = (authenticator.current().as_ref(), &peer) {
                    peer.vouch();
                }
                return inner.call(request).await;
            }
            let address = peer.as_ref().map(|peer| peer.address);
            let certificate = peer.as_ref().and_then(|peer| peer.certificate.as_deref());
            let credentials = Credentials { headers: request.headers(), certificate };
            let caller = match authenticator.authenticate(credentials).await {
                Ok(caller) => Arc::new(Caller { address, ..caller }),
                Err(refused) => {
                    tracing::info!(method, address = address.map(tracing::field::display), %refused, "nobody is calling");
                    return Ok(status::unauthenticated(&refused).into_http());
                }
            };
            if let Some(peer) = &peer {
                peer.vouch();
            }
            if let Rule::Roles(roles) = rule
                && !roles.iter().any(|role| caller.is(*role))
            {
                let refusal = status::role_required(roles);
                denied(method, &caller, &refusal);
                return Ok(refusal.into_http());
            }
            request.extensions_mut().insert(Arc::clone(&caller));
            let aged = peer.map(|peer| peer.ends_at);
            let left = authenticator.left(&caller);
            let tenure = Tenure::new(authenticator.access(), Arc::clone(&caller), left, aged);
            let answer = inner.call(request).await?;
            if let Some(refusal) = refusal(&answer) {
                denied(method, &caller, &refusal);
            }
            Ok(answer.map(|body| tenure.over(body)))
        })
    }
}

/// The status of an answer that is nothing but a refusal of the caller.
fn refusal(answer: &Response<Body>) -> Option<Status> {
    let status = Status::from_header_map(answer.headers())?;
    (status.code() == Code::PermissionDenied).then_some(status)
}

fn denied(method: &'static str, caller: &Caller, refusal: &Status) {
    let details = refusal.get_error_details();
    let reason = details.error_info().map_or("", |info| info.reason.as_str());
    let address = caller.address.map(tracing::field::display);
    tracing::info!(method, caller = caller.name().as_str(), address, reason, "a call was denied");
}
