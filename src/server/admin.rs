//! The admin port: health over HTTP for probes, metrics for Prometheus. Plain HTTP, no secrets.
//!
//! * `/livez`: the process runs. Never asks the database, so that an outage there restarts nothing.
//! * `/readyz`: the store answers, has the right schema, and the server is not draining. Logs that are no longer
//!   signed are named, but appends go on, so the answer is the same.
//! * `/metrics`: the metrics, as OpenMetrics where the scraper says that it reads that, else in Prometheus's older text
//!   format.
use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use crate::{event::LogName, telemetry::Metrics};

/// Logs that are named in one answer; the log and the metrics have the rest.
const MOST_NAMED: usize = 16;

/// The two forms of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the handlers need.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    /// Whether the server takes calls; kept by `app`.
    pub ready: watch::Receiver<bool>,
    /// The logs of which no checkpoint is signed any more; kept by the signer.
    pub halted: watch::Receiver<Vec<LogName>>,
}

/// Serves the admin port until `stop` resolves.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    match *admin.ready.borrow() {
        true => (StatusCode::OK, format!("ok\n{}", of_halted(&admin.halted.borrow()))),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
    }
}

/// A line that names the first of the logs that are halted.
fn of_halted(logs: &[LogName]) -> String {
    let named: Vec<_> = logs.iter().take(MOST_NAMED).map(LogName::as_str).collect();
    match logs.len().saturating_sub(named.len()) {
        _ if logs.is_empty() => String::new(),
        0 => format!("signing has stopped: {}\n", named.join(", ")),
        more => format!("signing has stopped: {} and {more} more\n", named.join(", ")),
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> impl IntoResponse {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    match accepted.flat_map(|accept| accept.split(',')).any(takes_open_metrics) {
        true => ([(CONTENT_TYPE, OPEN_METRICS)], admin.metrics.open_metrics()),
        false => ([(CONTENT_TYPE, TEXT)], admin.metrics.text()),
    }
}

/// Whether one of the media types of an `Accept` header is OpenMetrics. What a scraper says is all it can read: there is
/// no weighing, because nobody who names it wants the older format more.
fn takes_open_metrics(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"))
        && !parts.any(|parameter| parameter == "q=0")
}
