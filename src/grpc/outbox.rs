//! Answers of an append stream on their way to a client that may not read them. The stream's task puts
//! answers in without waiting and bounds them itself, by its credits; the transport takes them out. What
//! the events of an answer have taken of the server's memory is given back when it is taken.
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use tokio::{sync::Notify, time::Instant};
use tonic::Status;

use crate::{ingest::Admission, proto::v1::AppendStreamResponse};

/// The task's side.
pub struct Outbox(Arc<Shared>);

/// The transport's side.
pub struct Answers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// An answer was taken, or the client is gone.
    taken: Notify,
}

struct State {
    answers: VecDeque<(AppendStreamResponse, Option<Admission>)>,
    /// Since when the first answer has been waiting.
    since: Instant,
    end: Option<Result<(), Status>>,
    gone: bool,
    waker: Option<Waker>,
}

/// Both sides of an empty outbox.
pub fn outbox() -> (Outbox, Answers) {
    let state =
        State { answers: VecDeque::new(), since: Instant::now(), end: None, gone: false, waker: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), taken: Notify::new() });
    (Outbox(Arc::clone(&shared)), Answers(shared))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Adds an answer, with what its events hold.
    pub fn put(&self, answer: AppendStreamResponse, admission: Option<Admission>) {
        let mut state = self.0.state();
        if state.answers.is_empty() {
            state.since = Instant::now();
        }
        state.answers.push_back((answer, admission));
        wake(state);
    }

    /// Answers that were not taken yet.
    pub fn waiting(&self) -> usize {
        self.0.state().answers.len()
    }

    /// Since when the first answer has been waiting, if there is one.
    pub fn since(&self) -> Option<Instant> {
        let state = self.0.state();
        (!state.answers.is_empty()).then_some(state.since)
    }

    /// Whether nobody will ever take an answer.
    pub fn is_gone(&self) -> bool {
        self.0.state().gone
    }

    /// Waits until an answer was taken or the client is gone.
    pub async fn taken(&self) {
        self.0.taken.notified().await;
    }

    /// Ends the stream behind the answers that wait.
    pub fn end(self, end: Result<(), Status>) {
        self.0.state().end = Some(end);
    }

    /// Ends the stream without the answers that wait.
    pub fn cut(self, status: Status) {
        let unread = std::mem::take(&mut self.0.state().answers);
        self.end(Err(status));
        drop(unread);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut state = self.0.state();
        // A task that vanished has not ended its stream cleanly.
        state.end.get_or_insert(Err(super::status::draining()));
        wake(state);
    }
}

impl Stream for Answers {
    type Item = Result<AppendStreamResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.state();
        if let Some((answer, admission)) = state.answers.pop_front() {
            state.since = Instant::now();
            drop(state);
            drop(admission);
            self.0.taken.notify_one();
            return Poll::Ready(Some(Ok(answer)));
        }
        match &mut state.end {
            Some(end) => Poll::Ready(std::mem::replace(end, Ok(())).err().map(Err)),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        let unread = std::mem::take(&mut state.answers);
        drop(state);
        drop(unread);
        self.0.taken.notify_one();
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
