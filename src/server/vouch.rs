//! Says of every caller that it is known, as long as nobody authenticates callers.
//!
//! Called by: `server`, as the outermost layer.
use http::Request;
use tower::{Layer, util::MapRequest};

use super::listener::Peer;

/// Vouches for whoever calls.
#[derive(Clone, Copy)]
pub struct VouchLayer;

impl<S> Layer<S> for VouchLayer {
    type Service = MapRequest<S, fn(Request<tonic::body::Body>) -> Request<tonic::body::Body>>;

    fn layer(&self, inner: S) -> Self::Service {
        MapRequest::new(inner, |request| {
            if let Some(peer) = request.extensions().get::<Peer>() {
                peer.vouch();
            }
            request
        })
    }
}
