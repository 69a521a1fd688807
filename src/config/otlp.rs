//! The settings by which telemetry is sent. Its headers and resource come from OpenTelemetry's own variables, which
//! the exporter reads.
use super::{ConfigError, error, redact::redacted, settings::Settings};

/// OpenTelemetry's own variable of the endpoint, heeded when no setting says one.
pub(super) const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Where telemetry goes.
#[derive(Clone, PartialEq, Debug)]
pub struct Otlp {
    /// An `http` or `https` address.
    pub endpoint: String,
    /// The share of traces that are kept when the caller has not decided, 0 to 1.
    pub trace_ratio: f64,
}

/// Checks what is given. None: nothing is sent.
pub(super) fn read(given: &Settings) -> Result<Option<Otlp>, ConfigError> {
    let trace_ratio = given.trace_ratio;
    if !(0.0..=1.0).contains(&trace_ratio) {
        return Err(error("trace_ratio", "is not between 0 and 1"));
    }
    let Some(endpoint) = &given.otlp_endpoint else { return Ok(None) };
    let wrong = |reason: &str| error("otlp_endpoint", format!("{:?} {reason}", redacted(endpoint)));
    let uri: http::Uri = endpoint.parse().map_err(|_| wrong("is not a URL such as http://127.0.0.1:4317"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
        return Err(wrong("is not a URL such as http://127.0.0.1:4317"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("has a name or a password: give it as a header, in OTEL_EXPORTER_OTLP_HEADERS"));
    }
    Ok(Some(Otlp { endpoint: endpoint.clone(), trace_ratio }))
}
