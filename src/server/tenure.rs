//! How long a stream of answers may last: until its caller's credential ends, what the caller may do changes, or its connection is
//! old enough. A stream ends then with a status that says so, and its client comes back as what it is by now; without
//! that a query that follows for ever would keep for ever what it was let in with. A single answer is made for who its
//! caller was, and goes out: what was stored is never told as if it were not.
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
    ingest::shares::Share,
};

/// What an answer's time depends on.
pub struct Tenure {
    /// What the caller may do; `None` where nobody is asked who they are.
    who: Option<(watch::Receiver<Arc<Access>>, Arc<Caller>)>,
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
        Self { who: Some((access, caller)), expires, aged }
    }

    /// For an answer to anybody, which lasts as long as its connection.
    pub const fn of_connection(aged: Instant) -> Self {
        Self { who: None, expires: None, aged: Some(aged) }
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
        if let Some((access, caller)) = &mut self.who
            && access.has_changed().unwrap_or(false)
            && !access.borrow_and_update().still(&caller.identity, &caller.grants)
        {
            return Some(status::access_changed());
        }
        None
    }

    /// Waits until it may be over.
    fn wakes(&self) -> Wakes {
        let mut access = self.who.as_ref().map(|(access, _)| access.clone());
        let at = self.expires.into_iter().chain(self.aged).min();
        Box::pin(async move {
            let time = async {
                match at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let changed = async {
                match &mut access {
                    // Without a sender the server has ended.
                    Some(access) => drop(access.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                () = changed => {}
            }
        })
    }
}

/// A body that lasts no longer than its tenure, if it has one. What refuses the caller in its trailers is told; `share`
/// is given back when it ends.
pub fn over(body: Body, tenure: Option<Tenure>, denials: Denials, share: Option<Share>) -> Body {
    Body::new(Bounded { body, tenure, denials, _share: share, wakes: None, is_over: false })
}

type Wakes = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer's body.
struct Bounded {
    body: Body,
    tenure: Option<Tenure>,
    denials: Denials,
    _share: Option<Share>,
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
            if let Some(status) = this.tenure.as_mut().and_then(Tenure::ended) {
                this.is_over = true;
                // Whatever fed it ends with it.
                this.body = Body::empty();
                this.denials.cut_off(&status);
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
            let Some(tenure) = &this.tenure else { return Poll::Pending };
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
#[path = "tenure_tests.rs"]
mod tests;
