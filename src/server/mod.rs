//! The listeners: gRPC with its limits, and the admin port.
//!
//! tonic passes absent limits on as "none", where hyper has defaults of its own, so every limit is set
//! here. The layers, from the outside in:
//!
//! 1. `calls`: outermost, so that a call without a place costs nothing more, and is measured all the same.
//! 2. `trace`: what is done for a call, and who is refused, is in its span.
//! 3. `gate`: nothing is done for nobody.
//! 4. `parting`: reads do not hold up the end of the server.
//! 5. `intake`: before the services, because they see a message only when all of it is in memory.
pub mod admin;
mod calls;
pub mod checks;
pub mod codec;
mod gate;
mod handover;
mod intake;
pub mod listener;
mod measured;
mod parting;
mod tenure;
pub mod tls;
mod trace;

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tonic_health::{
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::{
    event::limits::MAX_MESSAGE_BYTES,
    grpc::{
        admin::AdminRpc,
        audit::{Audit, AuditRpc},
        catalog::CatalogRpc,
        producer::ProducerRpc,
        proof::ProofRpc,
        quarantine::QuarantineRpc,
        retention::RetentionRpc,
    },
    proto::{
        DESCRIPTORS,
        servers::{
            admin_service_server::{AdminServiceServer, SERVICE_NAME as ADMIN},
            audit_service_server::{AuditServiceServer, SERVICE_NAME as AUDIT},
            catalog_service_server::{CatalogServiceServer, SERVICE_NAME as CATALOG},
            producer_service_server::{ProducerServiceServer, SERVICE_NAME as PRODUCER},
            proof_service_server::{ProofServiceServer, SERVICE_NAME as PROOF_NAME},
            quarantine_service_server::{QuarantineServiceServer, SERVICE_NAME as QUARANTINE},
            retention_service_server::{RetentionServiceServer, SERVICE_NAME as RETENTION},
        },
    },
    retention::Keeper,
};

/// Services whose health is reported by name; the empty name is the whole server.
pub const SERVICES: [&str; 8] = [ALL, ADMIN, AUDIT, CATALOG, PRODUCER, PROOF, QUARANTINE, RETENTION];
/// The whole server.
pub const ALL: &str = "";
/// The service of proofs, which is not well when a log is no longer signed.
pub const PROOF: &str = PROOF_NAME;
/// Concurrent calls on one connection.
const MAX_STREAMS: u32 = 128;
/// Streams that the server may reset before it closes the connection.
const MAX_LOCAL_RESETS: usize = 256;
/// Streams that a client may reset before the server has taken them up.
const MAX_PENDING_RESETS: usize = 20;
/// Bytes of the headers of one call.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// How often an idle connection is asked whether it still lives, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The embedded descriptors cannot be read.
    #[error("reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// It panicked, which is logged where it happens.
    #[error("the listener has ended by itself")]
    Ended,
}

/// Serves gRPC on `listener` until `stop` resolves and the running calls have ended.
///
/// # Errors
/// The services cannot be made; after that nothing ends it but `stop`.
pub async fn serve_grpc(
    listener: TcpListener,
    settings: listener::Settings,
    audit: Arc<Audit>,
    catalog: CatalogRpc,
    keeper: Arc<Keeper>,
    health: HealthReporter,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let journal = Arc::clone(&audit.journal);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that clients can read the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let server = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .layer(calls::CallsLayer::new(Arc::clone(&audit.metrics)))
        .layer(trace::TraceLayer)
        .layer(gate::GateLayer::new(
            Arc::clone(&audit.authenticator),
            Arc::clone(&audit.journal),
            Arc::clone(&audit.metrics),
        ))
        .layer(parting::PartingLayer { drain: stop.clone() })
        .layer(intake::IntakeLayer::new(Arc::clone(&audit.ingest), Arc::clone(&audit.metrics)));
    let routes = Routes::new(HealthServer::new(HealthService::from_health_reporter(health)))
        .add_service(
            AdminServiceServer::new(AdminRpc(Arc::clone(&audit)))
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            ProducerServiceServer::new(ProducerRpc(Arc::clone(&audit)))
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            ProofServiceServer::new(ProofRpc(Arc::clone(&audit)))
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            QuarantineServiceServer::new(QuarantineRpc(Arc::clone(&audit)))
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            RetentionServiceServer::new(RetentionRpc { audit: Arc::clone(&audit), keeper })
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(AuditServiceServer::new(AuditRpc(audit)).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(CatalogServiceServer::new(catalog).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(reflection().build_v1()?)
        // Old grpcurl speaks v1alpha only.
        .add_service(reflection().build_v1alpha()?)
        .prepare();
    listener::serve(listener, settings, journal, server, routes, stop).await;
    Ok(())
}
