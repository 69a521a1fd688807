//! Composes what the listener needs: a port, certificates, limits, and enough open files.
use std::{io, net::SocketAddr, sync::Arc};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

use super::AppError;
use crate::{
    clock::SystemClock,
    config::{ConfigError, Connections},
    journal::{Entry, Journal},
    server::{
        listener,
        tls::{Fault, Tls},
    },
    telemetry::Metrics,
};

/// Connections that the system holds until they are accepted: when every client comes back at once, one for which
/// there is no room tries again a second later. More than this the system does not hold unless it is told to.
const BACKLOG: u32 = 4096;

/// Files that are open beside connections: the store's, the standard streams', the admin port's.
pub(super) const OTHER_FILES: u64 = 128;

/// Reads the certificates and raises the limit of open files. `certificates_only`: clients have nothing else that says
/// who they are.
///
/// # Errors
/// A certificate cannot be used.
pub(super) fn open(
    connections: &Connections,
    certificates_only: bool,
    metrics: &Arc<Metrics>,
) -> Result<listener::Settings, ConfigError> {
    let Connections { tls, exposed, limits } = connections;
    if exposed.clear {
        tracing::warn!(
            "serving without TLS where other machines can connect: events can be read and changed on their way"
        );
    }
    if exposed.open {
        tracing::warn!(
            "serving without an access file where other machines can connect: everybody there can do everything"
        );
    }
    let tls = match tls {
        None => None,
        Some(settings) => {
            let opened =
                Tls::open(settings.clone(), certificates_only, Arc::new(SystemClock), Arc::clone(metrics));
            let opened = opened.map_err(|Fault { setting, reason }| ConfigError { setting, reason })?;
            Some(Arc::new(opened))
        }
    };
    let files = most_files();
    if files.is_some_and(|most| most < u64::from(limits.total) + OTHER_FILES) {
        tracing::warn!(
            max_connections = limits.total,
            open_files = files,
            "the process may open fewer files than it may have connections: raise the hard limit (ulimit -H -n) or lower max_connections"
        );
    }
    Ok(listener::Settings { tls, limits: *limits, metrics: Arc::clone(metrics) })
}

/// Begins to listen on the address of a setting.
///
/// # Errors
/// The address is not this machine's, or in use.
pub(super) fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, AppError> {
    let failed = |error| unusable(setting, address, &error);
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    // So that a server that is started again need not wait for the connections of the one before.
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

/// The address of a listener, which for port 0 only the operating system knows.
pub(super) fn bound(
    setting: &'static str,
    listener: &TcpListener,
    asked: SocketAddr,
) -> Result<SocketAddr, AppError> {
    listener.local_addr().map_err(|error| unusable(setting, asked, &error))
}

/// Why nobody can be listened to, of the setting that says where.
pub(super) fn unusable(setting: &'static str, address: SocketAddr, error: &io::Error) -> AppError {
    AppError::Listen(ConfigError { setting, reason: format!("cannot listen on {address}: {error}") })
}

/// Raises the limit of open files as far as it goes; the new one, none when there is no limit.
fn most_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            current
        }
    }
}

/// Reads certificates, key and authority again, where there are some. What cannot be used is told, and what was in
/// force stays so.
pub async fn reload(tls: Option<Arc<Tls>>, certificates_only: bool, journal: &Journal) {
    let Some(tls) = tls else { return };
    tls.require(certificates_only);
    let read = match tokio::task::spawn_blocking(move || tls.reload()).await {
        Ok(read) => read.map_err(|fault| fault.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(()) => {
            journal.record(Entry::configuration_reloaded("certificates"));
        }
        Err(error) => {
            journal.record(Entry::configuration_refused("certificates", "see the server's log"));
            tracing::error!(error, "the certificates cannot be used; the old ones stay in force");
        }
    }
}
