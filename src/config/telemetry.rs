//! Where telemetry goes: our own settings, and the standard variables of OpenTelemetry where ours are not given. What
//! the process says of itself (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) the SDK reads.
use super::{ConfigError, error};
use crate::telemetry::ExportSettings;

/// The receiver, if there is one.
///
/// # Errors
/// A setting cannot be used.
pub fn read(endpoint: Option<String>, ratio: Option<f64>) -> Result<Option<ExportSettings>, ConfigError> {
    let ratio = ratio.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&ratio) {
        return Err(error("trace_ratio", "is not between 0 and 1"));
    }
    let (setting, endpoint) = match endpoint {
        Some(endpoint) => ("otlp_endpoint", Some(endpoint)),
        None => ("OTEL_EXPORTER_OTLP_ENDPOINT", standard("OTEL_EXPORTER_OTLP_ENDPOINT")?),
    };
    let Some(endpoint) = endpoint else { return Ok(None) };
    let settings = ExportSettings::new(&endpoint, ratio).map_err(|reason| error(setting, reason))?;
    let Some(headers) = standard("OTEL_EXPORTER_OTLP_HEADERS")? else { return Ok(Some(settings)) };
    let settings = settings.with_headers(&headers);
    settings.map(Some).map_err(|reason| error("OTEL_EXPORTER_OTLP_HEADERS", reason))
}

/// A variable of the standard, which takes an empty one for none.
fn standard(name: &'static str) -> Result<Option<String>, ConfigError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(error(name, "is not UTF-8")),
    }
}
