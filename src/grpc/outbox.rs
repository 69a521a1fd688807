//! Answers of an append stream on their way to a client that may not read them. The stream's task puts
//! answers in without waiting and bounds them itself, by its credits; the transport takes them out. An
//! answer that was taken is on the way until the transport asks for the next one, because it only asks when
//! the client has made room. Until then its events keep what they have taken of the server's memory.
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use tokio::{sync::Notify, time::Instant};
use tonic::Status;

use crate::{
    ingest::{Admission, streams::Open},
    proto::v1::{AppendStreamResponse, StreamThrottle},
};

/// The task's side.
pub struct Outbox(Arc<Shared>);

/// The transport's side.
pub struct Answers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// An answer is not on the way any more, or the client is gone.
    taken: Notify,
    /// The stream counts as long as the transport holds something of it, read or unread.
    _open: Open,
}

struct State {
    answers: VecDeque<(AppendStreamResponse, Option<Admission>)>,
    on_the_way: Option<Option<Admission>>,
    /// Since when the first answer has been waiting or on the way.
    since: Instant,
    end: Option<Result<(), Status>>,
    gone: bool,
    waker: Option<Waker>,
}

/// Both sides of an empty outbox.
pub fn outbox(open: Open) -> (Outbox, Answers) {
    let state = State {
        answers: VecDeque::new(),
        on_the_way: None,
        since: Instant::now(),
        end: None,
        gone: false,
        waker: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), taken: Notify::new(), _open: open });
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
        if state.answers.is_empty() && state.on_the_way.is_none() {
            state.since = Instant::now();
        }
        state.answers.push_back((answer, admission));
        wake(state);
    }

    /// Adds a notice. One that waits right before it is replaced: the newer one says what is true now, and a
    /// client that reads slowly must not make notices pile up.
    pub fn put_notice(&self, throttle: StreamThrottle) {
        let answer = AppendStreamResponse { throttle: Some(throttle), ..Default::default() };
        let mut state = self.0.state();
        match state.answers.back_mut() {
            Some((last, _)) if last.throttle.is_some() => *last = answer,
            Some(_) | None => {
                drop(state);
                self.put(answer, None);
            }
        }
    }

    /// Answers that wait or are on the way.
    pub fn waiting(&self) -> usize {
        let state = self.0.state();
        state.answers.len() + usize::from(state.on_the_way.is_some())
    }

    /// Since when the first of them has been.
    pub fn since(&self) -> Option<Instant> {
        let state = self.0.state();
        (!state.answers.is_empty() || state.on_the_way.is_some()).then_some(state.since)
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
        let mut state = self.0.state();
        let unread = (std::mem::take(&mut state.answers), state.on_the_way.take());
        drop(state);
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
        if let Some(arrived) = state.on_the_way.take() {
            state.since = Instant::now();
            drop(arrived);
            self.0.taken.notify_one();
        }
        if let Some((answer, admission)) = state.answers.pop_front() {
            state.on_the_way = Some(admission);
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
        let unread = (std::mem::take(&mut state.answers), state.on_the_way.take());
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

#[cfg(test)]
mod tests {
    use crate::{event::Producer, ingest::streams::Streams};

    use super::*;

    #[test]
    fn notices_that_nobody_reads_do_not_pile_up() {
        let open = Streams::default().open(&Producer::anonymous()).expect("a stream");
        let (outbox, _answers) = outbox(open);
        let acked = |acked_through| AppendStreamResponse { acked_through, ..Default::default() };
        let notice = |reason: &str| StreamThrottle { reason: reason.to_owned(), retry_after: None };
        for number in 1..=3 {
            outbox.put(acked(number), None);
            for _ in 0..1000 {
                outbox.put_notice(notice("OVERLOADED"));
            }
            outbox.put_notice(notice("RATE_LIMITED"));
        }
        let state = outbox.0.state();
        let waiting: Vec<_> = state.answers.iter().map(|(answer, _)| answer).collect();
        let expected = [1, 2, 3].map(|number| {
            [
                acked(number),
                AppendStreamResponse { throttle: Some(notice("RATE_LIMITED")), ..Default::default() },
            ]
        });
        assert_eq!(waiting, expected.iter().flatten().collect::<Vec<_>>());
    }
}
