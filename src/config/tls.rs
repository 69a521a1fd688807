//! The settings by which connections are encrypted, and how many there may be.
use std::{net::SocketAddr, ops::RangeInclusive};

use super::{ConfigError, error, settings::Settings};
use crate::server::{listener::Limits, tls};

/// Connections that may be asked for: below one nobody could connect, and a million sockets need more memory than
/// any of the machines that this is meant for.
const CONNECTIONS: RangeInclusive<u32> = 1..=1_000_000;

/// How connections are made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connections {
    /// None: without TLS.
    pub tls: Option<tls::Settings>,
    /// What the operator says others than this machine may find.
    pub exposed: Exposed,
    pub limits: Limits,
}

/// What others than this machine find on the server's port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exposed {
    /// Connections without TLS.
    pub clear: bool,
    /// A server without an access file, which lets everybody do everything.
    pub open: bool,
}

/// Checks what is given. The files are read later.
pub(super) fn read(given: &Settings, listen: SocketAddr) -> Result<Connections, ConfigError> {
    let limits = limits(given.max_connections, given.max_connections_per_address)?;
    let client_ca = given.tls_client_ca.clone();
    let tls = match (given.tls_certificate.clone(), given.tls_key.clone()) {
        (Some(certificate), Some(key)) => Some(tls::Settings { certificate, key, client_ca }),
        (None, Some(_)) => {
            return Err(error("tls_key", "there is a key without a certificate: set tls_certificate"));
        }
        (Some(_), None) => {
            return Err(error("tls_certificate", "there is a certificate without its key: set tls_key"));
        }
        (None, None) if client_ca.is_some() => {
            return Err(error(
                "tls_client_ca",
                "without a certificate of its own the server cannot ask clients for theirs: set tls_certificate and tls_key",
            ));
        }
        (None, None) => None,
    };
    let others = !listen.ip().to_canonical().is_loopback();
    let exposed = Exposed { clear: others && tls.is_none(), open: others && given.access.is_none() };
    if !given.insecure {
        let listen = |danger: &str| {
            error(
                "listen",
                format!(
                    "{listen} can be reached from other machines, {danger}, or insecure if that is what you want"
                ),
            )
        };
        match exposed {
            Exposed { clear: true, open: true } => {
                return Err(listen(
                    "and without TLS and an access file everybody there can do everything: set tls_certificate, tls_key and access",
                ));
            }
            Exposed { clear: true, .. } => {
                return Err(listen(
                    "and without TLS everybody on the way can read and change events: set tls_certificate and tls_key",
                ));
            }
            Exposed { open: true, .. } => {
                return Err(listen(
                    "and without an access file everybody there can do everything: set access",
                ));
            }
            Exposed { clear: false, open: false } => {}
        }
    }
    Ok(Connections { tls, exposed, limits })
}

fn limits(total: u32, per_address: u32) -> Result<Limits, ConfigError> {
    for (setting, given) in [("max_connections", total), ("max_connections_per_address", per_address)] {
        if !CONNECTIONS.contains(&given) {
            let reason = format!("is not between {} and {}", CONNECTIONS.start(), CONNECTIONS.end());
            return Err(error(setting, reason));
        }
    }
    Ok(Limits { total, per_address })
}
