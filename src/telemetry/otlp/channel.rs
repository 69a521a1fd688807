//! The connection to the receiver. Called by: `telemetry::otlp`.
use std::time::Duration;

use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::ExportSettings;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a receiver that is silent is asked whether it still lives, and how long it may take to answer. Without
/// that one that vanished would be waited for until the system gives up, which takes a quarter of an hour.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// Connects when there is something to send, and again whenever it must. An https receiver must have a certificate of
/// an authority that the system trusts.
pub(super) fn open(settings: &ExportSettings) -> Channel {
    let endpoint = || {
        Endpoint::from(settings.endpoint.clone())
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
    };
    if settings.endpoint.scheme_str() != Some("https") {
        return endpoint().connect_lazy();
    }
    match endpoint().tls_config(ClientTlsConfig::new().with_native_roots()) {
        Ok(endpoint) => endpoint.connect_lazy(),
        Err(error) => {
            // Each connection fails, which is counted and told as any other failure is.
            tracing::error!(%error, "no telemetry can be sent over TLS");
            endpoint().connect_lazy()
        }
    }
}
