//! What works behind the appends: tiles of the trees, the index, and retention.
use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{ingest::indexer::Indexer, proof::tiles::Tiler, retention::Keeper};

/// How long a step may take that is going on when the server ends. Most take some milliseconds, few a second.
const STEP: Duration = Duration::from_secs(3);

/// All of it, running.
pub(super) struct Behind {
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 3],
}

impl Behind {
    /// Begins.
    pub(super) fn start(tiler: Arc<Tiler>, indexer: Indexer, keeper: Arc<Keeper>) -> Self {
        let stop = CancellationToken::new();
        let tasks = [
            tokio::spawn(tiler.run(stop.clone())),
            tokio::spawn(indexer.run(stop.clone())),
            tokio::spawn(keeper.run(stop.clone())),
        ];
        Self { stop, tasks }
    }

    /// Begins nothing any more.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Each ends after the step that it is at; a step that is cut off has not been.
    pub(super) async fn end(self) {
        self.stop();
        let _ = timeout(STEP, futures::future::join_all(self.tasks)).await;
    }
}
