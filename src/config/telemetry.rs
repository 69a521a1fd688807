//! Where telemetry goes: our own settings, and the standard variables of OpenTelemetry besides them. What the process
//! says of itself (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) the SDK reads.
use super::{ConfigError, error, redact::redacted};
use crate::telemetry::ExportSettings;

/// Stands in for the setting where that is not given.
pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// A secret: a variable and no flag.
pub(super) const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The receiver, if there is one.
pub(super) fn read(endpoint: Option<&str>, ratio: f64) -> Result<Option<ExportSettings>, ConfigError> {
    if !(0.0..=1.0).contains(&ratio) {
        return Err(error("trace_ratio", "is not between 0 and 1"));
    }
    let Some(endpoint) = endpoint else { return Ok(None) };
    let wrong = |reason: String| error("otlp_endpoint", format!("{:?} {reason}", redacted(endpoint)));
    let settings = ExportSettings::new(endpoint, ratio).map_err(wrong)?;
    let Some(headers) = standard(HEADERS)? else { return Ok(Some(settings)) };
    settings.with_headers(&headers).map(Some).map_err(|reason| error(HEADERS, reason))
}

/// A variable of the standard, which takes an empty one for none.
pub(super) fn standard(name: &'static str) -> Result<Option<String>, ConfigError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(error(name, "is not UTF-8")),
    }
}
