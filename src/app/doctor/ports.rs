//! The ports of a server: free, or taken by a server that may well be this one, or by another program.
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::{
    config::ServeConfig,
    server::tls::{self, is_shown},
    store::Finding,
};

/// How long a server that has a port may take to show what it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// A service that nobody else has.
const SERVICE: &str = "chancery.v1.AuditService";
/// Of the reasons that only Chancery gives.
const DOMAIN: &str = "chancery.v1";

/// Whether the ports are free, or a server has them.
pub(super) async fn ports(config: &ServeConfig) -> Vec<Finding> {
    let tls = config.connections.tls.as_ref();
    let grpc = port("gRPC port", "listen", config.listen, async |address| match tls {
        Some(settings) => is_secured(settings, address).await,
        None => speaks_grpc(address).await,
    });
    let grpc = grpc.await;
    vec![grpc, port("admin port", "admin_listen", config.admin_listen, tells_health).await]
}

/// `is_ours` asks who has the port whether it is a Chancery.
async fn port(
    check: &'static str,
    setting: &str,
    address: SocketAddr,
    is_ours: impl AsyncFnOnce(SocketAddr) -> bool,
) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(check, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let who = match timeout(PATIENCE, is_ours(here(address))).await {
                Ok(true) => {
                    return Finding::good(check, format!("{address} is taken, and a Chancery answers there"));
                }
                Ok(false) => {
                    "whoever has it is no Chancery with these settings, or has not read a new certificate yet"
                }
                Err(_) => "whoever has it does not answer",
            };
            Finding::bad(
                check,
                format!("{address} is taken, and {who}"),
                format!("another program has it: end that, or change {setting}"),
            )
        }
        Err(error) => Finding::bad(
            check,
            format!("{address}: {error}"),
            "set an address of this machine, and a port that its user may take",
        ),
    }
}

/// Who listens on every address does so on this one.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Whether gRPC health knows a service of Chancery. One that is too busy to say so says why.
async fn speaks_grpc(address: SocketAddr) -> bool {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return false };
    let Ok(channel) = endpoint.connect().await else { return false };
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(_) => true,
        Err(status) => status.get_error_details().error_info().is_some_and(|info| info.domain == DOMAIN),
    }
}

/// Whether the certificate of this server is shown. No call is made: it might need a client's.
async fn is_secured(settings: &tls::Settings, address: SocketAddr) -> bool {
    match TcpStream::connect(address).await {
        Ok(stream) => is_shown(settings, stream).await,
        Err(_) => false,
    }
}

/// Whether `/livez` tells of the parts of a Chancery, whether they are well or not.
async fn tells_health(address: SocketAddr) -> bool {
    let asked = async {
        // It is on this machine, whatever proxy leads to others.
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.get(format!("http://{address}/livez?verbose")).send().await?.chunk().await
    };
    let page: reqwest::Result<_> = asked.await;
    let Ok(Some(page)) = page else { return false };
    page.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"runtime: "))
}
