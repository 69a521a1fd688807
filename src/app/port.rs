//! The admin port: open from the beginning, so that probes hear why a server does not serve yet.
use std::{net::SocketAddr, sync::Arc};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{AppError, FAREWELL, beats, bound, listen};
use crate::{
    server::{
        admin,
        checks::{Check, Liveness, Readiness},
    },
    telemetry::Metrics,
};

/// Where it is set.
const SETTING: &str = "admin_listen";

/// The port, and what it tells.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    pub(super) liveness: Arc<Liveness>,
    pub(super) readiness: watch::Sender<Readiness>,
    serving: JoinHandle<std::io::Result<()>>,
    stop: CancellationToken,
}

impl Port {
    /// Opens it, for a server that has not started yet.
    ///
    /// # Errors
    /// It cannot be bound.
    pub(super) fn open(address: SocketAddr, metrics: &Arc<Metrics>) -> Result<Self, AppError> {
        let listener = listen(SETTING, address)?;
        let address = bound(SETTING, &listener, address)?;
        let mut starting = Readiness::default();
        starting.set(Check::Start, Some("the server is starting".to_owned()));
        let (readiness, seen) = watch::channel(starting);
        let asked = seen.clone();
        metrics.process.ready.answer(move || Some(f64::from(u8::from(asked.borrow().is_ready()))));
        let liveness = Arc::new(Liveness::default());
        beats::runtime(&liveness, "runtime", &Handle::current());
        let stop = CancellationToken::new();
        let admin =
            admin::Admin { metrics: Arc::clone(metrics), liveness: Arc::clone(&liveness), readiness: seen };
        let serving = tokio::spawn(admin::serve(listener, admin, stop.clone().cancelled_owned()));
        Ok(Self { address, liveness, readiness, serving, stop })
    }

    /// Closes it. A probe's idle connection never ends by itself, and is given up.
    pub(super) async fn close(self) {
        self.stop.cancel();
        let _ = timeout(FAREWELL, self.serving).await;
    }
}
