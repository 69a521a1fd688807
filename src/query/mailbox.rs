//! Between a query's reader and its client: one part waits, one is being read, and one is with the client.
//!
//! The reader waits until its client has taken the part before. A client that takes nothing for [`SLOW`]
//! is cut off: the part that waits is dropped, so that nothing of the query stays in memory but what the
//! transport has taken, and when the client does read on, it is told that it was too slow and where to
//! continue. Callers: `reader`, `grpc::query`.
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::Stream;
use tokio::{sync::Notify, time::timeout};

use super::Part;

/// How long a client may take nothing.
pub const SLOW: Duration = Duration::from_secs(30);

#[derive(Default)]
struct State {
    waiting: Option<Part>,
    /// The reader puts nothing in any more.
    ended: bool,
    /// The client takes nothing any more.
    gone: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A part was taken, or the client is gone.
    taken: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's side.
pub struct Mailbox(Arc<Shared>);

/// The client's side: a stream of parts.
pub struct Letters(Arc<Shared>);

/// Why nothing can be put in any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unread {
    /// The client is gone.
    Gone,
    /// The client has been cut off.
    Slow,
}

/// Both sides.
pub fn mailbox() -> (Mailbox, Letters) {
    let shared = Arc::<Shared>::default();
    (Mailbox(Arc::clone(&shared)), Letters(shared))
}

impl Mailbox {
    /// Puts a part in once there is room.
    ///
    /// # Errors
    /// The client is gone or too slow.
    pub async fn put(&self, part: Part) -> Result<(), Unread> {
        match timeout(SLOW, self.room()).await {
            Ok(room) => room?,
            Err(_) => {
                self.replace(Part::Slow);
                return Err(Unread::Slow);
            }
        }
        self.replace(part);
        Ok(())
    }

    /// Puts a part in if there is room now.
    pub fn offer(&self, part: Part) {
        let full = self.0.state().waiting.is_some();
        if !full {
            self.replace(part);
        }
    }

    /// Waits until nothing waits.
    async fn room(&self) -> Result<(), Unread> {
        loop {
            let taken = self.0.taken.notified();
            {
                let state = self.0.state();
                if state.gone {
                    return Err(Unread::Gone);
                }
                if state.waiting.is_none() {
                    return Ok(());
                }
            }
            taken.await;
        }
    }

    /// Waits until the client is gone.
    pub async fn gone(&self) {
        loop {
            let taken = self.0.taken.notified();
            if self.0.state().gone {
                return;
            }
            taken.await;
        }
    }

    fn replace(&self, part: Part) {
        let mut state = self.0.state();
        let before = state.waiting.replace(part);
        let waker = state.waker.take();
        drop(state);
        drop(before);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ended = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Stream for Letters {
    type Item = Part;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Part>> {
        let mut state = self.0.state();
        if let Some(part) = state.waiting.take() {
            drop(state);
            self.0.taken.notify_one();
            return Poll::Ready(Some(part));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        let unread = state.waiting.take();
        drop(state);
        drop(unread);
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn page(head: u64) -> Part {
        Part::Page { events: Vec::new(), head }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off_and_told_so() {
        let (mailbox, mut letters) = mailbox();
        assert_eq!(mailbox.put(page(1)).await, Ok(()));
        assert_eq!(mailbox.put(page(2)).await, Err(Unread::Slow));
        drop(mailbox);
        assert!(matches!(letters.next().await, Some(Part::Slow)), "the part that waited is dropped");
        assert!(letters.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_one_part_at_a_time_gets_each() {
        let (mailbox, mut letters) = mailbox();
        let writing = async {
            for number in 0..100 {
                mailbox.put(page(number)).await?;
            }
            drop(mailbox);
            Ok::<_, Unread>(())
        };
        let reading = async {
            let mut heads = Vec::new();
            while let Some(Part::Page { head, .. }) = letters.next().await {
                heads.push(head);
                tokio::time::sleep(SLOW / 2).await;
            }
            heads
        };
        let (written, read) = tokio::join!(writing, reading);
        assert_eq!(written, Ok(()));
        assert_eq!(read, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_hears_that_its_client_is_gone() {
        let (mailbox, letters) = mailbox();
        assert_eq!(mailbox.put(page(1)).await, Ok(()));
        let (put, ()) = tokio::join!(mailbox.put(page(2)), async { drop(letters) });
        assert_eq!(put, Err(Unread::Gone));
        mailbox.gone().await;
    }
}
