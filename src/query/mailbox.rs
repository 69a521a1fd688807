//! Between a query's reader and its client: one part waits, one is being read, and one is with the client.
//!
//! The reader waits until its client has taken the part before. A client that takes nothing for [`SLOW`]
//! is cut off: what waits and what is left of its page are dropped, so that nothing of the query stays in memory
//! but what the transport has taken, and when the client does read on, it is told that it was too slow and where
//! to continue. One that reads, however slowly, is waited for. Callers: `reader`, `grpc::query`.
use std::{
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
    vec,
};

use futures::Stream;
use tokio::{sync::Notify, time::timeout};

use super::Part;
use crate::store::{StoreError, StoredEvent};

/// How long a client may take nothing.
pub const SLOW: Duration = Duration::from_secs(30);
/// How often a reader that waits looks whether its client takes anything: a page of 1 MiB may well take a slow
/// one longer than [`SLOW`].
const LOOK: Duration = Duration::from_secs(1);

#[derive(Default)]
struct State {
    waiting: Option<Part>,
    /// Events of the page that is with the client.
    page: vec::IntoIter<StoredEvent>,
    /// The head that bounds that page.
    head: u64,
    /// The client has asked for something since the reader last looked.
    asked: bool,
    /// The last part is in.
    last: bool,
    /// The reader puts nothing in any more.
    ended: bool,
    /// The client takes nothing any more.
    gone: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A part or the last event of a page was taken, or the client is gone.
    taken: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's side.
pub struct Mailbox(Arc<Shared>);

/// The client's side: a stream of letters.
pub struct Letters(Arc<Shared>);

/// What a client takes.
pub enum Letter {
    /// An event, with the head that bounds the query.
    Event { event: StoredEvent, head: u64 },
    /// A part other than a page.
    Notice(Part),
}

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
        self.patiently(self.until(|state| state.waiting.is_none())).await?;
        self.replace(part);
        Ok(())
    }

    /// Puts the last part in, and waits until the client has it: whoever takes nothing must not keep a page.
    ///
    /// # Errors
    /// The client is gone or too slow.
    pub async fn end(self, part: Part) -> Result<(), Unread> {
        self.put(part).await?;
        self.patiently(self.until(|state| state.waiting.is_none() && state.page.len() == 0)).await
    }

    /// Waits for the client for as long as it takes something now and then.
    async fn patiently(&self, wait: impl Future<Output = Result<(), Unread>>) -> Result<(), Unread> {
        let mut wait = pin!(wait);
        let mut still = Duration::ZERO;
        self.0.state().asked = false;
        while still < SLOW {
            match timeout(LOOK, &mut wait).await {
                Ok(done) => return done,
                Err(_) if mem::take(&mut self.0.state().asked) => still = Duration::ZERO,
                Err(_) => still += LOOK,
            }
        }
        let page = mem::take(&mut self.0.state().page);
        drop(page);
        self.replace(Part::Slow);
        Err(Unread::Slow)
    }

    /// Puts a part in if there is room now.
    pub fn offer(&self, part: Part) {
        let full = self.0.state().waiting.is_some();
        if !full {
            self.replace(part);
        }
    }

    /// Waits until the client has come so far.
    async fn until(&self, far: impl Fn(&State) -> bool) -> Result<(), Unread> {
        loop {
            let taken = self.0.taken.notified();
            {
                let state = self.0.state();
                if state.gone {
                    return Err(Unread::Gone);
                }
                if far(&state) {
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
        state.last |= matches!(part, Part::Summary(_) | Part::Failed(_) | Part::Draining | Part::Slow);
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
    type Item = Letter;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Letter>> {
        let mut state = self.0.state();
        state.asked = true;
        loop {
            if let Some(event) = state.page.next() {
                let letter = Letter::Event { event, head: state.head };
                if state.page.len() == 0 {
                    drop(state);
                    self.0.taken.notify_one();
                }
                return Poll::Ready(Some(letter));
            }
            match state.waiting.take() {
                Some(Part::Page { events, head }) => {
                    (state.page, state.head) = (events.into_iter(), head);
                    self.0.taken.notify_one();
                }
                Some(part) => {
                    drop(state);
                    self.0.taken.notify_one();
                    return Poll::Ready(Some(Letter::Notice(part)));
                }
                None if state.ended => {
                    // A reader that vanished has not ended its query, and nobody must take it for that.
                    let vanished = StoreError::Broken("the reader of a query has vanished".into());
                    let ended = mem::replace(&mut state.last, true);
                    return Poll::Ready((!ended).then_some(Letter::Notice(Part::Failed(vanished))));
                }
                None => {
                    state.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        let unread = (state.waiting.take(), mem::take(&mut state.page));
        drop(state);
        drop(unread);
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn page(head: u64, events: u64) -> Part {
        let event = |position| StoredEvent {
            position,
            occurred_at: 0,
            record: vec![0],
            personal: vec![1],
            leaf_hash: [0; 32],
        };
        Part::Page { events: (0..events).map(event).collect(), head }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off_and_told_so() {
        let (mailbox, mut letters) = mailbox();
        assert_eq!(mailbox.put(page(1, 3)).await, Ok(()));
        assert!(matches!(letters.next().await, Some(Letter::Event { head: 1, .. })));
        assert_eq!(mailbox.put(page(2, 3)).await, Ok(()));
        assert_eq!(mailbox.put(page(3, 3)).await, Err(Unread::Slow));
        drop(mailbox);
        assert!(matches!(letters.next().await, Some(Letter::Notice(Part::Slow))), "nothing is kept for it");
        assert!(letters.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_not_all_of_the_last_page_is_cut_off_too() {
        let (mailbox, mut letters) = mailbox();
        assert_eq!(mailbox.put(page(1, 3)).await, Ok(()));
        assert!(matches!(letters.next().await, Some(Letter::Event { .. })));
        assert_eq!(mailbox.end(Part::Draining).await, Err(Unread::Slow));
        assert!(matches!(letters.next().await, Some(Letter::Notice(Part::Slow))));
        assert!(letters.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_with_every_event_gets_each() {
        let (mailbox, mut letters) = mailbox();
        let writing = async {
            for number in 0..10 {
                mailbox.put(page(number, 10)).await?;
            }
            mailbox.end(Part::Draining).await
        };
        let reading = async {
            let mut heads = Vec::new();
            while let Some(Letter::Event { head, .. }) = letters.next().await {
                heads.push(head);
                tokio::time::sleep(SLOW / 2).await;
            }
            heads
        };
        let (written, read) = tokio::join!(writing, reading);
        assert_eq!(written, Ok(()));
        assert_eq!(read, (0..100).map(|event| event / 10).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_vanishes_is_no_end() {
        let (mailbox, mut letters) = mailbox();
        assert_eq!(mailbox.put(page(1, 1)).await, Ok(()));
        drop(mailbox);
        assert!(matches!(letters.next().await, Some(Letter::Event { .. })));
        assert!(matches!(letters.next().await, Some(Letter::Notice(Part::Failed(_)))));
        assert!(letters.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_hears_that_its_client_is_gone() {
        let (mailbox, letters) = mailbox();
        assert_eq!(mailbox.put(page(1, 1)).await, Ok(()));
        let (put, ()) = tokio::join!(mailbox.put(page(2, 1)), async { drop(letters) });
        assert_eq!(put, Err(Unread::Gone));
        mailbox.gone().await;
    }
}
