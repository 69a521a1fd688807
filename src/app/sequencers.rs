//! The runtime on which logs are written to.
use tokio::runtime::{Builder, Handle, Runtime};

/// The thread of the sequencers. They mostly wait for the database, and when an answer comes they must not
/// queue behind calls that check their events: the database would wait with them.
pub(super) struct Sequencers(Option<Runtime>);

impl Sequencers {
    pub(super) fn start() -> std::io::Result<Self> {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sequencer")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Sequencers {
    fn drop(&mut self) {
        // A runtime may not wait for its threads inside another one; by now they have nothing to do.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
