//! The admin port: health over HTTP for probes, metrics for Prometheus. Plain HTTP, no secrets.
//!
//! * `/livez`: the process and its sequencers go on. Never asks the database, so that an outage there restarts nothing.
//! * `/readyz`: the server has started, the store answers and has the right schema, its disk has room, and the server is
//!   not draining. Logs that are no longer signed are named, but appends go on, so the answer is the same.
//! * `/metrics`: the metrics, as OpenMetrics where the scraper says that it reads that, else in Prometheus's older text
//!   format.
//!
//! The first two name on a line of its own every part or check that fails, and with `?verbose` the others too (`checks`).
use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use super::checks::{Liveness, Readiness};
use crate::telemetry::Metrics;

/// The two forms of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the handlers need.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    /// The parts that must go on; `app` adds them.
    pub liveness: Arc<Liveness>,
    /// Whether the server takes calls; kept by `app`.
    pub readiness: watch::Receiver<Readiness>,
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
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn livez(State(admin): State<Admin>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let (alive, page) = admin.liveness.page(is_verbose(query.as_deref()));
    (code(alive), page)
}

async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let readiness = admin.readiness.borrow();
    (code(readiness.is_ready()), readiness.page(is_verbose(query.as_deref())))
}

const fn code(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")))
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
