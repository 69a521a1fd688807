//! The body of a request that begins and does not go on.
use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use tonic::Status;

/// The beginning of a body, and then nothing for ever.
pub struct Stalled(Option<Bytes>);

impl Stalled {
    /// A body that begins so.
    pub const fn after(beginning: Bytes) -> Self {
        Self(Some(beginning))
    }
}

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.0.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Poll::Pending,
        }
    }
}
