//! Sends requests of one signal, tries again for a while, counts what is lost, and tells when that begins and ends.
//! Called by: `telemetry::otlp`.
use std::{error::Error as _, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use super::ExportSettings;
use crate::telemetry::{Metrics, Signal};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);
/// Pauses before further tries: long enough for a receiver that is started again. Meanwhile the queue fills.
pub(super) const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Of two lines about failures, one at least this much later than the other.
const QUIET: Duration = Duration::from_secs(60);

/// Why a try failed.
enum Failure {
    TooSlow,
    Refused(Status),
}

impl Failure {
    /// Whether the standard says that the same may succeed later.
    fn passes(&self) -> bool {
        match self {
            Self::TooSlow => true,
            Self::Refused(status) => matches!(
                status.code(),
                Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
                    | Code::Aborted
                    | Code::OutOfRange
                    | Code::Unavailable
                    | Code::DataLoss
            ),
        }
    }

    /// Nothing that the receiver says, which may be anything.
    fn why(&self) -> String {
        let Self::Refused(status) = self else { return format!("no answer within {} s", TRY.as_secs()) };
        let mut cause = status.source();
        while let Some(deeper) = cause.and_then(|cause| cause.source()) {
            cause = Some(deeper);
        }
        match cause {
            Some(cause) => cause.to_string(),
            None => status.code().description().to_owned(),
        }
    }
}

/// The way out for one signal.
pub(super) struct Outlet {
    signal: Signal,
    metrics: Arc<Metrics>,
    settings: ExportSettings,
    pub(super) stop: CancellationToken,
    failing: bool,
    /// When a failure was last told, and whether it was the one that lasts.
    told: Option<Instant>,
    told_of_this: bool,
}

impl Outlet {
    pub(super) const fn new(
        signal: Signal,
        metrics: Arc<Metrics>,
        settings: ExportSettings,
        stop: CancellationToken,
    ) -> Self {
        Self { signal, metrics, settings, stop, failing: false, told: None, told_of_this: false }
    }

    /// Sends a request of so many items. `export` tells how many of them the receiver has rejected.
    pub(super) async fn send<R: Clone>(
        &mut self,
        request: R,
        items: usize,
        pauses: &[Duration],
        export: impl AsyncFn(Request<R>) -> Result<i64, Status>,
    ) {
        let mut pauses = pauses.iter();
        loop {
            let message = self.settings.request(request.clone());
            let answer = match timeout(TRY, export(message)).await {
                Ok(Ok(rejected)) => {
                    self.lost(usize::try_from(rejected).unwrap_or_default());
                    self.well();
                    return;
                }
                Ok(Err(status)) => Failure::Refused(status),
                Err(_) => Failure::TooSlow,
            };
            self.ill(&answer);
            let pause = pauses.next().filter(|_| answer.passes() && !self.stop.is_cancelled());
            let Some(pause) = pause else {
                self.lost(items);
                return;
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(*pause) => {}
            }
        }
    }

    fn lost(&self, items: usize) {
        self.metrics.process.telemetry_dropped(self.signal, items);
    }

    fn ill(&mut self, failure: &Failure) {
        if std::mem::replace(&mut self.failing, true) || self.told.is_some_and(|told| told.elapsed() < QUIET)
        {
            return;
        }
        self.told = Some(Instant::now());
        self.told_of_this = true;
        tracing::warn!(
            signal = ?self.signal,
            reason = failure.why(),
            "telemetry cannot be sent; what finds no room is dropped"
        );
    }

    fn well(&mut self) {
        self.failing = false;
        if std::mem::take(&mut self.told_of_this) {
            tracing::info!(signal = ?self.signal, "telemetry is sent again");
        }
    }
}
