//! Composes what the listener needs: certificates, limits, and enough open files.
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    clock::SystemClock,
    config::{ConfigError, Connections},
    server::{
        listener,
        tls::{Fault, Tls},
    },
    telemetry::Metrics,
};

/// Files that are open beside connections: the store's, the standard streams', the admin port's.
const OTHER_FILES: u64 = 128;

/// Reads the certificates and raises the limit of open files.
///
/// # Errors
/// A certificate cannot be used.
pub(super) fn open(
    connections: &Connections,
    metrics: &Arc<Metrics>,
) -> Result<listener::Settings, ConfigError> {
    let Connections { tls, exposed, limits } = connections;
    if *exposed {
        tracing::warn!(
            "serving without TLS where other machines can connect: events can be read and changed on their way"
        );
    }
    let tls = match tls {
        None => None,
        Some(settings) => {
            // Who calls is told by nothing but certificates, so none can do without.
            let required = settings.client_ca.is_some();
            let opened = Tls::open(settings.clone(), required, Arc::new(SystemClock), Arc::clone(metrics));
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
