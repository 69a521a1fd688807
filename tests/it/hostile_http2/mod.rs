//! Clients that do to HTTP/2 what no library does: the connection is ended, or the stream, with the code that says
//! why; the server keeps its memory; and a client on another connection appends and reads all the while.
//! `docs/limits.md` has every limit with its test. Who sends too much, or too slowly, is in `hostile_load`.
mod floods;
mod half_open;
mod headers;
mod messages;
mod raw;
mod windows;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chancery::proto::v1::GetEventRequest;
use tokio::task::JoinHandle;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic},
    events,
    metrics::conserved,
    server::Server,
};

/// KiB that a server may grow by during an attack: what an honest client makes it take (caches of the store, buffers
/// of its connection) is a fraction of that, and each attack would be worth more.
const MOST_GROWTH: u64 = 32 * 1024;

/// Runs an attack beside an honest client; how many KiB the server has grown by.
fn attacked<F: Future<Output = ()>>(attack: impl FnOnce(Arc<Server>) -> F) {
    let store = TestStore::new(KINDS[0]);
    let server = Arc::new(Server::start(&store));
    block_on(async {
        let honest = Honest::start(&server).await;
        honest.goes_on(3).await;
        let before = server.peak_memory();
        attack(Arc::clone(&server)).await;
        honest.finish().await;
        conserved(&server).await;
        // The kernel counts by and by, and may say a little less than before.
        let grown = server.peak_memory().saturating_sub(before);
        eprintln!("grown by {grown} KiB");
        assert!(grown < MOST_GROWTH, "the server has grown by {grown} KiB");
    });
}

/// Appends one event after the other and reads each, which must succeed at once.
struct Honest {
    stop: Arc<AtomicBool>,
    done: tokio::sync::watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Honest {
    async fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut audit = server.audit().await;
        let (sender, done) = tokio::sync::watch::channel(0);
        let task = tokio::spawn(async move {
            let mut calls = 0;
            while !stopped.load(Ordering::Relaxed) {
                let event = events::hold(&format!("honest.{calls}"));
                let position = accept(&mut audit, atomic(vec![event.clone()])).await[0];
                let get = GetEventRequest { position: Some(position), ..GetEventRequest::default() };
                let read = audit.get_event(get).await.expect("an event").into_inner().event;
                assert_eq!(read.expect("an event").event_id, event.event_id);
                calls += 1;
                sender.send_replace(calls);
            }
        });
        Self { stop, done, task }
    }

    /// Waits until it has done so many calls more.
    async fn goes_on(&self, calls: usize) {
        let mut done = self.done.clone();
        let wanted = *done.borrow() + calls;
        done.wait_for(|done| *done >= wanted).await.expect("every call of the honest client succeeds");
    }

    /// Lets it go on for a while, then ends it. Fails when one of its calls has failed.
    async fn finish(self) {
        self.goes_on(5).await;
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("every call of the honest client succeeds");
    }
}
