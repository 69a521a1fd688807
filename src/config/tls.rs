//! The settings by which connections are encrypted, and how many there may be.
use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use super::{ConfigError, error};
use crate::server::{listener::Limits, tls};

/// Connections that may be asked for: below one nobody could connect, and a million sockets need more memory than
/// any of the machines that this is meant for.
const CONNECTIONS: RangeInclusive<u32> = 1..=1_000_000;

/// What flags, environment and file say.
pub(super) struct Given {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) max_connections: Option<u32>,
    pub(super) max_connections_per_address: Option<u32>,
}

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

/// Checks what is given. The files are read later. `open`: everybody may do everything.
pub(super) fn read(given: Given, listen: SocketAddr, open: bool) -> Result<Connections, ConfigError> {
    let limits = limits(given.max_connections, given.max_connections_per_address)?;
    let tls = match (given.certificate, given.key) {
        (Some(certificate), Some(key)) => {
            Some(tls::Settings { certificate, key, client_ca: given.client_ca })
        }
        (None, Some(_)) => {
            return Err(error("tls_key", "there is a key without a certificate: set tls_certificate"));
        }
        (Some(_), None) => {
            return Err(error("tls_certificate", "there is a certificate without its key: set tls_key"));
        }
        (None, None) if given.client_ca.is_some() => {
            return Err(error(
                "tls_client_ca",
                "without a certificate of its own the server cannot ask clients for theirs: set tls_certificate and tls_key",
            ));
        }
        (None, None) => None,
    };
    let others = !listen.ip().to_canonical().is_loopback();
    let exposed = Exposed { clear: others && tls.is_none(), open: others && open };
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

fn limits(total: Option<u32>, per_address: Option<u32>) -> Result<Limits, ConfigError> {
    let within = |setting, given: Option<u32>, default| match given {
        None => Ok(default),
        Some(given) if CONNECTIONS.contains(&given) => Ok(given),
        Some(_) => {
            Err(error(setting, format!("is not between {} and {}", CONNECTIONS.start(), CONNECTIONS.end())))
        }
    };
    Ok(Limits {
        total: within("max_connections", total, Limits::DEFAULT.total)?,
        per_address: within("max_connections_per_address", per_address, Limits::DEFAULT.per_address)?,
    })
}
