//! The other side of a connection, as the calls on it see it.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::time::Instant;

use crate::auth::Certificate;

/// Who is at the other end of a connection. An extension of every request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where the connection comes from; an address of IPv4 is always one of IPv4.
    pub address: SocketAddr,
    /// The certificate by which the client proved who it is, if it did.
    pub certificate: Option<Arc<Certificate>>,
    /// When calls on this connection are ended: they go on over another one.
    pub ends_at: Instant,
    vouched: Arc<AtomicBool>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, certificate: Option<Certificate>, ends_at: Instant) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { address, certificate: certificate.map(Arc::new), ends_at, vouched: Arc::default() }
    }

    /// Says that a known caller has called on this connection. One of which nobody says so is closed.
    pub fn vouch(&self) {
        self.vouched.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_vouched(&self) -> bool {
        self.vouched.load(Ordering::Relaxed)
    }
}
