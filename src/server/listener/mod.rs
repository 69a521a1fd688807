//! The port for gRPC: accepts connections, and closes those that may not be.
//!
//! Does: the accept loop, which nothing ends but `stop`; limits on connections (`places`); the TLS handshake
//! (`handshake`); the life of each connection (`connection`). Does not: know what is called on them. Called by:
//! `server::serve_grpc`.
mod connection;
mod handshake;
mod io;
mod peer;
mod places;

use std::{io::ErrorKind, sync::Arc, time::Duration};

pub use peer::Peer;
pub use places::Limits;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{body::Body, service::Routes, transport::Server};
use tower::{Layer, Service};

use self::{connection::Shared, handshake::Handshakes, places::Places};
use super::tls::Tls;
use crate::{journal::Journal, telemetry::Metrics};

pub use handshake::H2;

/// Pause after the system would not hand out a connection: it has no more files or memory, and has them again when
/// connections are closed.
const PAUSE: Duration = Duration::from_millis(100);

/// How connections are accepted.
pub struct Settings {
    /// None: without TLS.
    pub tls: Option<Arc<Tls>>,
    pub limits: Limits,
    pub metrics: Arc<Metrics>,
}

/// Accepts connections until `stop`, and returns when the last one is closed.
pub async fn serve<L>(
    listener: TcpListener,
    settings: Settings,
    journal: Arc<Journal>,
    server: Server<L>,
    routes: Routes,
    stop: CancellationToken,
) where
    L: Layer<Routes> + Clone + Send + Sync + 'static,
    L::Service: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    <L::Service as Service<http::Request<Body>>>::Future: Send,
    <L::Service as Service<http::Request<Body>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let Settings { tls, limits, metrics } = settings;
    let places = Places::new(limits, Arc::clone(&metrics));
    let handshakes = Handshakes::new();
    let shared = Arc::new(Shared {
        server,
        routes,
        tls,
        handshakes,
        metrics: Arc::clone(&metrics),
        journal,
        stop: stop.clone(),
    });
    let connections = TaskTracker::new();
    let mut number = 0;
    let mut outage = false;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                if std::mem::take(&mut outage) {
                    tracing::info!("connections are accepted again");
                }
                match places.take(address.ip()) {
                    Ok(place) => {
                        number += 1;
                        connections.spawn(Arc::clone(&shared).serve(stream, address, place, number));
                    }
                    // The socket is closed here: there is nothing to tell it before its handshake.
                    Err(reason) => metrics.connections.refused(reason),
                }
            }
            // A client that was gone before its turn.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                metrics.connections.accept_failed();
                if !std::mem::replace(&mut outage, true) {
                    tracing::error!(%error, "cannot accept connections; it is tried again until it works");
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(PAUSE) => {}
                }
            }
        }
    }
    // Nobody may connect to a server that goes away.
    drop(listener);
    connections.close();
    connections.wait().await;
}
