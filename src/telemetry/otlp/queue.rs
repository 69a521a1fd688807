//! A bounded queue between those who make telemetry and the thread that sends it. Called by: `telemetry::otlp`.
use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::telemetry::{Metrics, Signal};

/// How long the first of a request waits for others. Whoever makes telemetry wakes the thread that sends it once in
/// that time, not once for each.
const GATHER: Duration = Duration::from_millis(100);
/// Items of one request. Of spans 2 MiB at most, where each has all its links, and receivers take 4 MiB.
const MOST_AT_A_TIME: usize = 512;

/// A queue of so many items.
pub(super) fn queue<T>(most: usize, signal: Signal, metrics: &Arc<Metrics>) -> (Queue<T>, Waiting<T>) {
    let (sender, receiver) = channel(most);
    (Queue { sender, signal, metrics: Arc::clone(metrics) }, Waiting(receiver))
}

/// The end where items go in.
pub(super) struct Queue<T> {
    sender: Sender<T>,
    signal: Signal,
    metrics: Arc<Metrics>,
}

impl<T> Queue<T> {
    /// Never waits: an item without room is lost.
    pub(super) fn put(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            self.metrics.process.telemetry_dropped(self.signal, 1);
        }
    }
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Queue").field("signal", &self.signal).finish_non_exhaustive()
    }
}

/// The end where they come out.
pub(super) struct Waiting<T>(Receiver<T>);

impl<T> Waiting<T> {
    /// The items of the next request; once stopped what is left of them, and then none.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Option<Vec<T>> {
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => self.0.try_recv().ok(),
            first = self.0.recv() => first,
        };
        let mut items = vec![first?];
        if self.0.len() + 1 < MOST_AT_A_TIME {
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(GATHER) => {}
            }
        }
        while items.len() < MOST_AT_A_TIME
            && let Ok(item) = self.0.try_recv()
        {
            items.push(item);
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_the_rest_comes_out_in_order() {
        let metrics = Arc::new(Metrics::default());
        let (queue, mut waiting) = queue(MOST_AT_A_TIME + 2, Signal::logs, &metrics);
        for item in 0..MOST_AT_A_TIME + 5 {
            queue.put(item);
        }
        assert!(metrics.text().contains("chancery_telemetry_dropped_total{signal=\"logs\"} 3\n"));
        let stop = CancellationToken::new();
        assert_eq!(waiting.next(&stop).await, Some((0..MOST_AT_A_TIME).collect()));
        stop.cancel();
        assert_eq!(waiting.next(&stop).await, Some(vec![MOST_AT_A_TIME, MOST_AT_A_TIME + 1]));
        assert_eq!(waiting.next(&stop).await, None);
    }
}
