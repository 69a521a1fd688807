//! One connection from its acceptance to its end.
//!
//! tonic serves it, one connection at a time, because only so can a single one be told to end: tonic's own age of
//! connections is the same for all, and with a time of grace it cuts them off without a word (GOAWAY is sent only
//! without one, and then nothing ends a stream that never ends).
//!
//! | since its acceptance | what happens |
//! |---|---|
//! | 30 s | told to end (GOAWAY) when no known caller has called, and closed a second later |
//! | 27 to 33 min | told to end: new calls go over a new connection, which needs a certificate of that time; open streams go on |
//! | 1 h after that | open streams are ended (`age`), as when the server drains; append streams are an hour old by then, and have ended |
//! | 5 min after that | closed |
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, body::Body, service::Routes, transport::Server};
use tower::{Layer, Service};

use super::{
    Peer,
    handshake::{Failed, Handshakes, say_goodbye},
    io::{Io, Switch, Transport},
    places::Place,
};
use crate::{
    journal::{Entry, Journal, Who, code_name},
    server::tls::Tls,
    telemetry::{Metrics, Refused},
};

/// How long a connection may be without a call of a known caller: the handshake and a first call, with all the
/// patience that a bad line needs.
const STRANGER: Duration = Duration::from_secs(30);
/// Between telling a stranger's connection to end and closing it.
const STRANGERS_FAREWELL: Duration = Duration::from_secs(1);
/// The mean age at which a connection is told to end: whoever lost a certificate can make new calls for so long.
const AGE: Duration = Duration::from_secs(30 * 60);
/// By so much earlier or later, so that connections that began together do not end together.
const SPREAD: Duration = Duration::from_secs(3 * 60);
/// How long open streams go on after that: as long as an append stream lives.
const STREAMS: Duration = Duration::from_secs(60 * 60);
/// How long a client may take over the end of its streams.
const GRACE: Duration = Duration::from_secs(5 * 60);

/// What every connection needs.
pub struct Shared<L> {
    pub server: Server<L>,
    pub routes: Routes,
    /// None: without TLS.
    pub tls: Option<Arc<Tls>>,
    pub handshakes: Handshakes,
    pub metrics: Arc<Metrics>,
    pub journal: Arc<Journal>,
    pub stop: CancellationToken,
}

impl<L> Shared<L>
where
    L: Layer<Routes> + Clone + Send + Sync + 'static,
    L::Service: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    <L::Service as Service<http::Request<Body>>>::Future: Send,
    <L::Service as Service<http::Request<Body>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    /// Serves a connection until it is closed. The number spreads the ages of connections.
    pub async fn serve(self: Arc<Self>, stream: TcpStream, address: SocketAddr, place: Place, number: u64) {
        let accepted = Instant::now();
        // An ack must not wait for the client's delayed acknowledgement. A socket that is closed already says so
        // when it is read.
        let _ = stream.set_nodelay(true);
        let (transport, certificate) = match &self.tls {
            None => (Transport::Plain(stream), None),
            Some(tls) => {
                let shaken = tokio::select! {
                    () = self.stop.cancelled() => return,
                    shaken = self.handshakes.accept(tls, stream, address.ip()) => shaken,
                };
                match shaken {
                    Ok((stream, certificate)) => {
                        self.metrics.connections.handshake(accepted.elapsed());
                        (Transport::Tls(stream), certificate)
                    }
                    Err((failed, stream)) => {
                        self.failed(&failed, address);
                        if let Some(stream) = stream {
                            say_goodbye(stream).await;
                        }
                        return;
                    }
                }
            }
        };
        let told_at = accepted + AGE - SPREAD + spread(number);
        let peer = Peer::new(address, certificate, told_at + STREAMS);
        let told = self.stop.child_token();
        // It is dropped, and with it the token cancelled, when the connection is closed.
        let (io, switch) = Io::new(transport, peer.clone(), place, told.clone());
        let connections = stream::iter([Ok::<_, Infallible>(io)]).chain(stream::pending());
        let server = self.server.clone();
        let serving = server.serve_with_incoming_shutdown(
            self.routes.clone(),
            connections,
            told.clone().cancelled_owned(),
        );
        tokio::select! {
            // How a connection ends is its client's business.
            _ = serving => {}
            () = self.age(&peer, accepted, told_at, &told, &switch) => {}
        }
    }

    /// What becomes of a connection in time. Never returns.
    async fn age(
        &self,
        peer: &Peer,
        accepted: Instant,
        told_at: Instant,
        told: &CancellationToken,
        switch: &Switch,
    ) {
        sleep_until(accepted + STRANGER).await;
        if !peer.is_vouched() {
            self.metrics.connections.refused(Refused::stranger);
            tracing::debug!(address = %peer.address.ip(), "closed the connection of a stranger");
            told.cancel();
            sleep_until(accepted + STRANGER + STRANGERS_FAREWELL).await;
            switch.off();
        } else {
            sleep_until(told_at).await;
            told.cancel();
            sleep_until(peer.ends_at + GRACE).await;
            switch.off();
        }
        std::future::pending().await
    }

    fn failed(&self, failed: &Failed, address: SocketAddr) {
        let reason = match failed {
            Failed::Gone => return,
            Failed::Late => Refused::handshake_timeout,
            Failed::NoProtocol | Failed::Tls(_) | Failed::Certificate(_) => Refused::handshake_failed,
        };
        self.metrics.connections.refused(reason);
        // At debug: whoever can reach the port could fill the log.
        tracing::debug!(address = %address.ip(), cause = %failed, "refused a TLS handshake");
        if let Some(reason) = failed.denial() {
            let who = Who { address: Some(address), ..Who::default() };
            let denied = (code_name(Code::Unauthenticated as i32), reason);
            self.journal.record(Entry::denied(&who, "handshake", denied));
        }
    }
}

/// A time between none and twice the spread. Successive numbers lie as far from each other as they can (the
/// golden ratio's fractional part, times 2^64).
fn spread(number: u64) -> Duration {
    let fraction = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (SPREAD * 2).mul_f64(fraction as f64 / 2_f64.powi(64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_begin_together_end_apart() {
        let mut ages: Vec<_> = (0..1000).map(spread).collect();
        ages.sort_unstable();
        assert!(ages.iter().all(|age| *age <= SPREAD * 2));
        // A thousand of them in 360 s: never more than a few in any second.
        let most = ages.windows(8).map(|near| near[7] - near[0]).min();
        assert!(most >= Some(Duration::from_secs(1)), "{most:?}");
    }
}
