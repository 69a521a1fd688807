//! The beginning and the end of what the process tells of itself.
use std::{sync::Arc, time::Duration};

use super::AppError;
use crate::{
    clock::SystemClock,
    config::{ConfigError, ServeConfig},
    telemetry::{self, Exporter, FLUSH, Metrics},
};

/// Log lines, and telemetry over OTLP where it is configured.
pub(super) struct Telling(Option<Exporter>);

impl Telling {
    pub(super) fn start(config: &ServeConfig, metrics: &Arc<Metrics>) -> Result<Self, AppError> {
        let exporter = config.otlp.clone().map(|settings| {
            Exporter::start(settings, Arc::clone(metrics), Arc::new(SystemClock)).map_err(AppError::Threads)
        });
        let exporter = exporter.transpose()?;
        telemetry::init(&config.log_level, config.log_format, exporter.as_ref())
            .map_err(|reason| ConfigError { setting: "log_level", reason })?;
        Ok(Self(exporter))
    }

    /// Sends what waits, unless that was done: within the time that is left and [`FLUSH`].
    pub(super) async fn finish(&self, left: Duration) {
        if let Some(exporter) = &self.0 {
            exporter.finish(left.min(FLUSH)).await;
        }
    }

    /// The same at an end that no signal has asked for.
    pub(super) async fn finish_after(&self, ended: &Result<(), AppError>) {
        // The command line tells it, but not to where telemetry goes.
        if let (Some(_), Err(error)) = (&self.0, ended) {
            tracing::error!(%error, "ending");
        }
        // Who is out of patience does not wait once more.
        if !matches!(ended, Err(AppError::NotDrained)) {
            self.finish(FLUSH).await;
        }
    }
}
