//! When answers end.
use std::sync::OnceLock;

use http_body::Body as _;
use tokio_stream::StreamExt as _;

use super::*;
use crate::{
    auth::{Credential, Grants, Identity, Table},
    clock::SystemClock,
    event::Producer,
    journal::Journal,
    telemetry::Metrics,
};

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

fn caller() -> Arc<Caller> {
    let identity = Identity {
        name: Producer::anonymous(),
        credential: Credential::Claim,
        groups: Vec::new(),
        expires_at: None,
    };
    let grants = Arc::new(Grants::Everything);
    Arc::new(Caller { identity, method: "", address: None, grants, cut_off: OnceLock::new() })
}

fn denials() -> Denials {
    let journal = Journal::new(Arc::new(SystemClock), Arc::new(Metrics::default()));
    Denials { journal: Arc::new(journal), caller: None, address: None, method: "" }
}

/// The frames and the status of a body whose sender does not go away.
async fn until_the_end(ready: usize, tenure: Tenure) -> (usize, HeaderMap) {
    let (sender, receiver) = tokio::sync::mpsc::channel(ready.max(1));
    for _ in 0..ready {
        sender.try_send(Bytes::from_static(b"x")).expect("room");
    }
    let mut body = std::pin::pin!(over(Body::new(Frames(receiver)), Some(tenure), denials(), None));
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
    let hour = Duration::from_secs(3600);
    for ready in [0, 3] {
        let (_open, access) = watch::channel(Arc::new(Access::Open));
        let tenure = Tenure::new(access, caller(), None, Some(Instant::now() + hour));
        let (data, trailers) = until_the_end(ready, tenure).await;
        assert_eq!((data, trailers["grpc-status"].as_bytes()), (ready, b"14".as_slice()), "UNAVAILABLE");
        let (_open, access) = watch::channel(Arc::new(Access::Open));
        let tenure = Tenure::new(access, caller(), Some(hour), None);
        let (data, trailers) = until_the_end(ready, tenure).await;
        assert_eq!((data, trailers["grpc-status"].as_bytes()), (ready, b"16".as_slice()), "UNAUTHENTICATED");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_caller_may_do_something_else_and_not_before() {
    let (sender, access) = watch::channel(Arc::new(Access::Open));
    let tenure = Tenure::new(access, caller(), None, None);
    let changing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Read again, and the same.
        sender.send_replace(Arc::new(Access::Open));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        sender.send_replace(Arc::new(Access::Table(Table::default())));
        began
    };
    let ((data, trailers), changed) = tokio::join!(until_the_end(1, tenure), changing);
    assert_eq!((data, trailers["grpc-status"].as_bytes()), (1, b"14".as_slice()), "UNAVAILABLE");
    assert_eq!(Instant::now(), changed, "at once");
}
