//! How long a call took and how it ended, for the metrics: a call that only fails says so in its headers, every other one
//! in its trailers. Called by: `calls`, and `trace` for the
//! status alone.
use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::telemetry::Metrics;

/// A call that is measured until it is dropped.
pub(super) struct Measured {
    method: Option<&'static str>,
    began: Instant,
    metrics: Arc<Metrics>,
    /// How it ended. A call that is dropped before that was cancelled by its client, or cut off with its connection.
    pub(super) ended: Option<Code>,
}

impl Measured {
    /// A call of this method, or of one that there is not.
    pub(super) fn begin(method: Option<&'static str>, metrics: Arc<Metrics>) -> Self {
        Self { method, began: Instant::now(), metrics, ended: None }
    }

    /// The headers or the trailers of its answer.
    pub(super) fn heard(&mut self, headers: &HeaderMap) {
        self.ended = code(headers).or(self.ended);
    }
}

/// The status that headers or trailers hold.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|status| Code::from_bytes(status.as_bytes()))
}

impl Drop for Measured {
    fn drop(&mut self) {
        let code = self.ended.unwrap_or(Code::Cancelled);
        self.metrics.calls.ended(self.method, code, self.began.elapsed());
    }
}
