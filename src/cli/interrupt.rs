//! Ctrl-C and SIGTERM, for commands that end only when they are told to.
//!
//! Does: tell the command the first time, end the process the second, so that a command that hangs in a write
//! can still be ended. Does not: watch commands that end by themselves; these are simply killed. The only
//! place of the command line that handles signals; the server's is `app.rs`. Called by: `query`, `bench sink`.
use std::{io, process, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

/// What a shell shows for a process that SIGINT ended.
const KILLED: i32 = 130;

/// Whether the command has been told to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Notify>);

impl Interrupt {
    /// Begins to watch. From here on the signals do not end the process by themselves.
    pub fn watch() -> io::Result<Self> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let told = Self::default();
        let first = told.clone();
        tokio::spawn(async move {
            for again in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if again {
                    process::exit(KILLED);
                }
                first.0.notify_one();
            }
        });
        Ok(told)
    }

    /// One that never comes.
    pub fn never() -> Self {
        Self::default()
    }

    /// Waits until the command is told to end.
    pub async fn told(&self) {
        self.0.notified().await;
    }
}
