//! The settings by which telemetry is sent, and OpenTelemetry's own variables besides them. What the process says of
//! itself (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) the exporter reads.
use std::env::VarError;

use super::{ConfigError, error, redact::redacted, settings::Settings};
use crate::telemetry::ExportSettings;

/// OpenTelemetry's own variable of the endpoint, heeded when no setting says one.
pub(super) const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// That of what the receiver is shown: a secret, and therefore no flag.
pub(super) const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Checks what is given. None: nothing is sent.
pub(super) fn read(given: &Settings) -> Result<Option<ExportSettings>, ConfigError> {
    let trace_ratio = given.trace_ratio;
    if !(0.0..=1.0).contains(&trace_ratio) {
        return Err(error("trace_ratio", "is not between 0 and 1"));
    }
    let Some(endpoint) = &given.otlp_endpoint else { return Ok(None) };
    let wrong = |reason: String| error("otlp_endpoint", format!("{:?} {reason}", redacted(endpoint)));
    let settings = ExportSettings::new(endpoint, trace_ratio).map_err(wrong)?;
    match std::env::var(HEADERS) {
        Ok(headers) => settings.with_headers(&headers).map(Some).map_err(|reason| error(HEADERS, reason)),
        Err(VarError::NotPresent) => Ok(Some(settings)),
        Err(VarError::NotUnicode(_)) => Err(error(HEADERS, "is not UTF-8")),
    }
}
