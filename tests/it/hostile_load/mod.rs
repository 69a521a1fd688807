//! Producers that do everything wrong at once: the server keeps its memory, says what is wrong, and the
//! other producers notice nothing.
mod large_batches;
mod many_streams;
mod slow_message;
mod slow_reader;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::JoinHandle;

use crate::harness::{
    calls::{accept, atomic, from_producer},
    events,
    server::Server,
};

/// What a server may take of memory at most, in KiB.
const MOST_MEMORY: u64 = 256 * 1024;

/// A producer that appends a few events at a time, each of which must be accepted at once.
struct Honest {
    stop: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Honest {
    async fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut audit = server.audit().await;
        let task = tokio::spawn(async move {
            let mut calls = 0;
            while !stopped.load(Ordering::Relaxed) || calls < 5 {
                let batch = (0..3).map(|each| events::hold(&format!("{calls}.{each}"))).collect();
                accept(&mut audit, from_producer("honest", atomic(batch))).await;
                calls += 1;
            }
            calls
        });
        Self { stop, task }
    }

    /// Ends it. Fails when one of its calls has failed.
    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("every call of the honest producer succeeds");
    }
}

fn bounded_memory(server: &Server) {
    let peak = server.peak_memory();
    eprintln!("peak memory {} MiB", peak / 1024);
    assert!(peak < MOST_MEMORY, "the server has had {peak} KiB");
}
