//! How long an answer may last: until its caller's credential ends, what the caller may do changes, or its connection is
//! old enough. A stream ends then with a status that says so, and its client comes back as what it is by now; without
//! that a query that follows for ever would keep for ever what it was let in with.
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::{Status, body::Body};

use crate::{
    auth::{Access, Caller},
    grpc::{status, told::Denials},
};

/// What an answer's time depends on.
pub struct Tenure {
    access: watch::Receiver<Arc<Access>>,
    caller: Arc<Caller>,
    /// When the credential ends.
    expires: Option<Instant>,
    /// When the connection is old enough.
    aged: Option<Instant>,
}

impl Tenure {
    /// From now on. `left` is how long the credential lasts.
    pub fn new(
        access: watch::Receiver<Arc<Access>>,
        caller: Arc<Caller>,
        left: Option<Duration>,
        aged: Option<Instant>,
    ) -> Self {
        let expires = left.and_then(|left| Instant::now().checked_add(left));
        Self { access, caller, expires, aged }
    }

    /// A body that lasts no longer. What refuses the caller in its trailers is told.
    pub fn over(self, body: Body, denials: Denials) -> Body {
        Body::new(Bounded { body, tenure: self, denials, wakes: None, is_over: false })
    }

    /// Why it is over, if it is.
    fn ended(&mut self) -> Option<Status> {
        let now = Instant::now();
        if self.expires.is_some_and(|at| at <= now) {
            return Some(status::credential_expired());
        }
        if self.aged.is_some_and(|at| at <= now) {
            return Some(status::connection_aged());
        }
        if self.access.has_changed().unwrap_or(false) {
            let access = self.access.borrow_and_update();
            if !access.still(&self.caller.identity, &self.caller.grants) {
                return Some(status::access_changed());
            }
        }
        None
    }

    /// Waits until it may be over.
    fn wakes(&self) -> Wakes {
        let mut access = self.access.clone();
        let at = self.expires.into_iter().chain(self.aged).min();
        Box::pin(async move {
            let time = async {
                match at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                // Without a sender the server has ended.
                _ = access.changed() => {}
            }
        })
    }
}

type Wakes = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer's body.
struct Bounded {
    body: Body,
    tenure: Tenure,
    denials: Denials,
    /// Only once there is something to wait for: most answers are there at once.
    wakes: Option<Wakes>,
    is_over: bool,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if this.is_over {
                return Poll::Ready(None);
            }
            if let Some(status) = this.tenure.ended() {
                this.is_over = true;
                // Whatever fed it ends with it.
                this.body = Body::empty();
                this.denials.status(&status);
                let mut trailers = HeaderMap::new();
                let ended = status.add_header(&mut trailers);
                return Poll::Ready(Some(ended.map(|()| Frame::trailers(trailers))));
            }
            let frame = Pin::new(&mut this.body).poll_frame(context);
            if let Poll::Ready(frame) = frame {
                if let Some(Ok(frame)) = &frame
                    && let Some(trailers) = frame.trailers_ref()
                {
                    this.denials.headers(trailers);
                }
                return Poll::Ready(frame);
            }
            let tenure = &this.tenure;
            ready!(this.wakes.get_or_insert_with(|| tenure.wakes()).as_mut().poll(context));
            this.wakes = None;
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What is over ends sooner than the body says.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::{
        auth::{Credential, Grants, Identity, Table},
        clock::SystemClock,
        event::Producer,
        journal::{Journal, Who},
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
        Arc::new(Caller { identity, method: "", address: None, grants: Arc::new(Grants::Everything) })
    }

    fn denials() -> Denials {
        let journal = Journal::new(Arc::new(SystemClock), Arc::new(Metrics::default()));
        Denials { journal: Arc::new(journal), who: Who::default(), method: "" }
    }

    /// The frames and the status of a body whose sender does not go away.
    async fn until_the_end(ready: usize, tenure: Tenure) -> (usize, HeaderMap) {
        let (sender, receiver) = tokio::sync::mpsc::channel(ready.max(1));
        for _ in 0..ready {
            sender.try_send(Bytes::from_static(b"x")).expect("room");
        }
        let mut body = std::pin::pin!(tenure.over(Body::new(Frames(receiver)), denials()));
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
            assert_eq!(
                (data, trailers["grpc-status"].as_bytes()),
                (ready, b"16".as_slice()),
                "UNAUTHENTICATED"
            );
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
}
