//! Composes the signer of checkpoints and the clients of its witnesses, and ends them in order.
use std::sync::Arc;

use tokio::{
    sync::{Mutex, watch},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::FAREWELL;
use crate::{
    clock::Clock,
    config::{self, ConfigError},
    event::LogName,
    proof::{
        heads::Heads,
        prover::Prover,
        signer::{Parts, Signer},
        tiles::Tiler,
        witness::{Client, Shared},
    },
    store::Store,
    telemetry::Metrics,
};

/// What signs, if anything does.
pub(super) struct Signing {
    stop: CancellationToken,
    signer: Option<JoinHandle<()>>,
    witnesses: JoinSet<()>,
    /// Of a server that signs nothing: a signer's own is closed when it ends.
    _idle: watch::Sender<Vec<LogName>>,
}

/// What signing needs of the server.
pub(super) struct Around {
    pub(super) store: Arc<dyn Store>,
    pub(super) tiler: Arc<Tiler>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A signer that has its heads, and does not run yet.
pub(super) struct Ready(Option<(Signer, Vec<Client>)>, watch::Sender<Vec<LogName>>);

/// Opens the signer's folder.
///
/// # Errors
/// It cannot be used.
pub(super) fn open(settings: Option<config::Signing>, around: Around) -> Result<Ready, ConfigError> {
    let Some(config::Signing { key, state, witnesses }) = settings else {
        return Ok(Ready(None, watch::Sender::default()));
    };
    let (heads, known) =
        Heads::open(&state, &key).map_err(|reason| ConfigError { setting: "signer_state", reason })?;
    let Around { store, tiler, metrics, clock } = around;
    let key = Arc::new(key);
    let shared = Arc::new(Shared {
        prover: Prover { store: Arc::clone(&store) },
        key: Arc::clone(&key),
        metrics: Arc::clone(&metrics),
        notes: Mutex::default(),
    });
    let clients = witnesses.into_iter().map(|target| Client::new(target, Arc::clone(&shared)));
    let clients =
        clients.collect::<Result<_, _>>().map_err(|reason| ConfigError { setting: "witness", reason })?;
    let signer = Signer::new(Parts { store, tiler, key, heads, metrics, clock }, known);
    Ok(Ready(Some((signer, clients)), watch::Sender::default()))
}

impl Ready {
    /// The logs of which nothing is signed any more. Closed when the signer has ended.
    pub(super) fn halted(&self) -> watch::Receiver<Vec<LogName>> {
        self.0.as_ref().map_or_else(|| self.1.subscribe(), |(signer, _)| signer.halted())
    }

    /// Begins to sign.
    pub(super) fn start(self) -> Signing {
        let (stop, mut witnesses) = (CancellationToken::new(), JoinSet::new());
        let Self(parts, idle) = self;
        let Some((signer, clients)) = parts else {
            tracing::warn!(
                "no checkpoints are signed, because there is no signing key: nobody can check the logs of this server"
            );
            return Signing { stop, signer: None, witnesses, _idle: idle };
        };
        for client in clients {
            witnesses.spawn(client.run(signer.newest()));
        }
        let signer = Some(tokio::spawn(signer.run(stop.clone())));
        Signing { stop, signer, witnesses, _idle: idle }
    }
}

impl Signing {
    /// Signs what was appended last, and ends.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        if let Some(signer) = self.signer {
            let _ = timeout(FAREWELL, signer).await;
        }
        // What a witness has not cosigned by now it is asked for after the next start.
        self.witnesses.shutdown().await;
    }
}
