//! Before every call: who makes it, and whether it may call the method at all. What it may do with which log is for the
//! handler to ask (`grpc::may`); a method without a rule is not there. What is refused here or behind is
//! told to the self-audit.
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::{
    calls::MAX_OF_ONE_CALLER,
    listener::Peer,
    tenure::{self, Tenure},
};
use crate::{
    auth::{
        Access, Authenticator, Caller, Credentials,
        rules::{self, Rule},
    },
    grpc::{status, told::Denials},
    ingest::shares::Shares,
    journal::Journal,
    telemetry::{LoadShed, Metrics},
};

/// Adds [`Gate`].
#[derive(Clone)]
pub struct GateLayer {
    authenticator: Arc<Authenticator>,
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
    /// The calls of each caller.
    shares: Shares,
}

impl GateLayer {
    pub fn new(authenticator: Arc<Authenticator>, journal: Arc<Journal>, metrics: Arc<Metrics>) -> Self {
        Self { authenticator, journal, metrics, shares: Shares::new(MAX_OF_ONE_CALLER) }
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
        let GateLayer { authenticator, journal, metrics, shares } = self.layer.clone();
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
                // A probe may watch for ever, but not over one connection.
                let address = peer.as_ref().map(|peer| peer.address);
                let tenure = peer.map(|peer| Tenure::of_connection(peer.ends_at));
                let tenure = tenure.filter(|_| rules::streams(method));
                let denials = Denials { journal, caller: None, address, method };
                let answer = inner.call(request).await?;
                return Ok(answer.map(|body| tenure::over(body, tenure, denials, None)));
            }
            let address = peer.as_ref().map(|peer| peer.address);
            let certificate = peer.as_ref().and_then(|peer| peer.certificate.as_deref());
            let credentials = Credentials { headers: request.headers(), certificate };
            // From before the caller is looked up, so that no change in between is missed.
            let access = authenticator.access();
            let mut denials = Denials { journal, caller: None, address, method };
            let caller = match authenticator.authenticate(credentials).await {
                Ok((identity, grants)) => {
                    let (grants, cut_off) = (Arc::new(grants), OnceLock::new());
                    Arc::new(Caller { identity, method, address, grants, cut_off })
                }
                Err(refused) => {
                    let refusal = status::unauthenticated(&refused);
                    denials.status(&refusal, Some(&refused));
                    return Ok(refusal.into_http());
                }
            };
            if let Some(peer) = &peer {
                peer.vouch();
            }
            denials.caller = Some(Arc::clone(&caller));
            if let Rule::Roles(roles) = rule
                && !roles.iter().any(|role| caller.is(*role))
            {
                let refusal = status::role_required(roles);
                denials.status(&refusal, None);
                return Ok(refusal.into_http());
            }
            // Where everybody may do everything a name is only claimed, and anybody could use up another's share.
            let mut share = None;
            if access.borrow().table().is_some() {
                share = shares.take(caller.name());
                if share.is_none() {
                    metrics.calls.shed(LoadShed::calls);
                    return Ok(status::too_many_calls_of_caller(MAX_OF_ONE_CALLER).into_http());
                }
            }
            request.extensions_mut().insert(Arc::clone(&caller));
            let aged = peer.map(|peer| peer.ends_at);
            let left = authenticator.left(&caller.identity);
            let tenure = rules::streams(method).then(|| Tenure::new(access, caller, left, aged));
            let answer = inner.call(request).await?;
            // A call that only fails says so here, a stream in its trailers.
            denials.headers(answer.headers());
            Ok(answer.map(|body| tenure::over(body, tenure, denials, share)))
        })
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
