//! How long an answer may last: until its caller's credential ends, or what the caller may do changes. A stream ends
//! then with a status, and its client comes back as what it is by now.
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
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
    grpc::status,
};

/// What an answer's time depends on.
pub struct Tenure {
    access: watch::Receiver<Arc<Access>>,
    caller: Arc<Caller>,
    ends: Option<Instant>,
}

impl Tenure {
    /// From now on, for as long as the credential lasts.
    pub fn new(access: watch::Receiver<Arc<Access>>, caller: Arc<Caller>, left: Option<Duration>) -> Self {
        let ends = left.and_then(|left| Instant::now().checked_add(left));
        Self { access, caller, ends }
    }

    /// A body that lasts no longer.
    pub fn over(self, body: Body) -> Body {
        Body::new(Bounded { body, tenure: Some(self), ended: None })
    }

    /// Waits for the end.
    async fn ended(mut self) -> Status {
        let expired = async {
            match self.ends {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let (access, caller) = (&mut self.access, &self.caller);
        let changed = async {
            // The sender lives as long as the server.
            while access.changed().await.is_ok() {
                let still = access.borrow_and_update().still(&caller.identity, &caller.grants);
                if !still {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = expired => status::credential_expired(),
            () = changed => status::access_changed(),
        }
    }
}

/// An answer's body.
struct Bounded {
    body: Body,
    /// Until the body first has to be waited for: most never have.
    tenure: Option<Tenure>,
    ended: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(ended) = &mut this.ended
            && let Poll::Ready(status) = ended.as_mut().poll(context)
        {
            return Poll::Ready(this.end(&status));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if let Some(tenure) = this.tenure.take() {
            let mut ended = Box::pin(tenure.ended());
            if let Poll::Ready(status) = ended.as_mut().poll(context) {
                return Poll::Ready(this.end(&status));
            }
            this.ended = Some(ended);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Bounded {
    /// The last frame; the handler behind hears that nobody waits any more.
    fn end(&mut self, status: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        (self.body, self.ended) = (Body::empty(), None);
        let mut trailers = HeaderMap::new();
        match status.add_header(&mut trailers) {
            Ok(()) => Some(Ok(Frame::trailers(trailers))),
            Err(status) => Some(Err(status)),
        }
    }
}
