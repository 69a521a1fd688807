//! Metrics of connections, and of the certificates by which they are trusted. Called by: `server::listener` and
//! `server::tls`.
use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Why the server closed a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum Refused {
    /// As many are open as may be.
    total,
    /// As many are open from its address as may be.
    address,
    /// The TLS handshake took too long.
    handshake_timeout,
    /// The TLS handshake failed.
    handshake_failed,
    /// Nobody known has called on it.
    stranger,
}

impl Refused {
    const ALL: [Self; 5] =
        [Self::total, Self::address, Self::handshake_timeout, Self::handshake_failed, Self::stranger];
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByReason {
    reason: Refused,
}

/// Whose certificate expires.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum Expires {
    /// The server's own.
    server,
    /// The first that expires of those by which clients are trusted.
    client_ca,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByCertificate {
    certificate: Expires,
}

/// Every metric of connections.
pub struct ConnectionMetrics {
    open: Gauge,
    accepted: Counter,
    refused: Family<ByReason, Counter>,
    accept_errors: Counter,
    handshakes: Histogram,
    expiry: Family<ByCertificate, Gauge<f64, AtomicU64>>,
    reloads_failed: Counter,
}

impl ConnectionMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let open = Gauge::default();
        registry.register("open_connections", "Connections for gRPC that are open", open.clone());
        let accepted = Counter::default();
        registry.register(
            "connections_accepted",
            "Connections for gRPC that were accepted",
            accepted.clone(),
        );
        let refused = Family::<ByReason, Counter>::default();
        registry.register(
            "connections_refused",
            "Connections for gRPC that the server closed, by reason",
            refused.clone(),
        );
        // From the first on, so that an alert on an increase sees it.
        for reason in Refused::ALL {
            drop(refused.get_or_create(&ByReason { reason }));
        }
        let accept_errors = Counter::default();
        registry.register(
            "accept_errors",
            "Times that a connection for gRPC could not be accepted",
            accept_errors.clone(),
        );
        // 0.25 ms to 8 s: from a handshake on the same machine to one that times out.
        let handshakes = Histogram::new(exponential_buckets(0.00025, 2.0, 16));
        registry.register_with_unit(
            "tls_handshake_duration",
            "Time from accepting a connection to the end of its TLS handshake",
            Unit::Seconds,
            handshakes.clone(),
        );
        let expiry = Family::<ByCertificate, Gauge<f64, AtomicU64>>::default();
        registry.register_with_unit(
            "tls_certificate_not_after_timestamp",
            "When a certificate expires",
            Unit::Seconds,
            expiry.clone(),
        );
        let reloads_failed = Counter::default();
        registry.register(
            "tls_reload_failures",
            "Times that new certificates could not be used and the old ones were kept",
            reloads_failed.clone(),
        );
        Self { open, accepted, refused, accept_errors, handshakes, expiry, reloads_failed }
    }

    /// A connection was accepted.
    pub fn accepted(&self) {
        self.accepted.inc();
        self.open.inc();
    }

    /// An accepted connection is gone.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// The server closed a connection.
    pub fn refused(&self, reason: Refused) {
        self.refused.get_or_create(&ByReason { reason }).inc();
    }

    /// A connection could not be accepted.
    pub fn accept_failed(&self) {
        self.accept_errors.inc();
    }

    /// A TLS handshake ended well.
    pub fn handshake(&self, took: Duration) {
        self.handshakes.observe(took.as_secs_f64());
    }

    /// When a certificate expires, in seconds since 1970.
    pub fn expires(&self, certificate: Expires, at: i64) {
        self.expiry.get_or_create(&ByCertificate { certificate }).set(at as f64);
    }

    /// New certificates could not be used.
    pub fn reload_failed(&self) {
        self.reloads_failed.inc();
    }
}
