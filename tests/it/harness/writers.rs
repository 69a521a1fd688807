//! Writers that append at the same time while a test does something to the server or its store.
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chancery::proto::v1::{AppendResult, NewEvent};
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Code, Status};

use super::{
    calls::{Audit, Refusal, atomic},
    events,
    server::Server,
};

/// What a writer does when a call fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It ends.
    End,
    /// It sends the same events again, provided the server told it to.
    Retry,
}

/// What one writer did.
#[derive(Default)]
pub struct Written {
    /// Id and position of every acked event.
    pub acked: Vec<(String, u64)>,
    /// The events of the call that failed.
    pub unacked: Vec<NewEvent>,
    /// Why it failed.
    pub error: Option<Status>,
    /// Calls that were answered with an error and sent again.
    pub retries: usize,
}

/// Running writers.
pub struct Writers {
    tasks: Vec<JoinHandle<Written>>,
    acks: mpsc::UnboundedReceiver<usize>,
    stop: Arc<AtomicBool>,
}

impl Writers {
    /// Starts writers, each with a connection of its own.
    pub async fn start(server: &Server, count: usize, on_error: OnError) -> Self {
        let (sender, acks) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::with_capacity(count);
        for writer in 0..count {
            let audit = server.audit().await;
            tasks.push(tokio::spawn(write(audit, writer, on_error, sender.clone(), Arc::clone(&stop))));
        }
        Self { tasks, acks, stop }
    }

    /// Waits until this many further events are acked.
    pub async fn acked(&mut self, mut events: usize) {
        while events > 0 {
            let acked = self.acks.recv().await.expect("running writers");
            events = events.saturating_sub(acked);
        }
    }

    /// Lets every writer finish its call, and returns what they did.
    pub async fn finish(self) -> Vec<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut written = Vec::new();
        for task in self.tasks {
            written.push(task.await.expect("a writer"));
        }
        written
    }
}

async fn write(
    mut audit: Audit,
    writer: usize,
    on_error: OnError,
    acks: mpsc::UnboundedSender<usize>,
    stop: Arc<AtomicBool>,
) -> Written {
    let mut written = Written::default();
    for call in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let batch: Vec<_> =
            (0..call % 7 + 1).map(|each| events::hold(&format!("{writer}.{call}.{each}"))).collect();
        loop {
            match audit.append(atomic(batch.clone())).await {
                Ok(answer) => {
                    for (sent, result) in batch.iter().zip(answer.into_inner().results) {
                        let fate = result.result();
                        let again = fate == AppendResult::Duplicate && on_error == OnError::Retry;
                        assert!(fate == AppendResult::Accepted || again, "{result:?}");
                        let position = result.position.expect("a position");
                        written.acked.push((sent.event_id.clone(), position));
                    }
                    let _ = acks.send(batch.len());
                    break;
                }
                Err(error) if on_error == OnError::End => {
                    written.unacked = batch;
                    written.error = Some(error);
                    return written;
                }
                Err(error) => {
                    let refusal = Refusal::of(&error);
                    assert_eq!(refusal.code, Code::Unavailable, "{refusal:?}");
                    assert!(refusal.retry_after.is_some(), "{refusal:?}");
                    written.retries += 1;
                }
            }
        }
    }
    written
}
