//! The admin port: health over HTTP for probes, metrics for Prometheus. Plain HTTP, no secrets.
//!
//! * `/livez`: the process runs. Never asks the database, so that an outage there restarts nothing.
//! * `/readyz`: the store answers, has the right schema, and the server is not draining.
//! * `/metrics`: the exposition text.
use std::{future::Future, sync::Arc};

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use crate::telemetry::Metrics;

/// What the handlers need.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    /// Whether the server takes calls; kept by `app`.
    pub ready: watch::Receiver<bool>,
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
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], admin.metrics.text())
}
