//! TLS: the certificates of this server, and those by which it trusts clients.
//!
//! Does: reads and checks the files (`load`), hands out what is in force now, and exchanges it while connections are
//! open: those that are there keep what they began with. Does not: shake hands; the listener does. Called by: `app`,
//! which makes one and reloads it, and the listener.
mod examine;
mod load;
mod shown;
mod watch;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

pub use examine::{Examined, examine};
use load::{Contents, Loaded};
pub use load::{Fault, day};
pub use shown::is_shown;
use tokio_rustls::rustls::ServerConfig;

use crate::{
    clock::Clock,
    telemetry::{Expires, Metrics},
};

/// Which files, and what is asked of clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The server's certificate and those between it and its authority, PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, PEM.
    pub key: PathBuf,
    /// The authorities that issue certificates to clients, PEM. None: clients are asked for none.
    pub client_ca: Option<PathBuf>,
}

/// What is in force.
pub struct Tls {
    settings: Settings,
    /// Whether a client without a certificate is refused by the handshake.
    required: AtomicBool,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    current: RwLock<Arc<ServerConfig>>,
    /// What the files had in them when they were last tried, and when what is in force expires.
    tried: Mutex<Tried>,
}

struct Tried {
    contents: Contents,
    expiry: load::Expiry,
}

impl Tls {
    /// Reads the files. With authorities for clients, `required` says whether there is no other way for a client to
    /// prove who it is.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn open(
        settings: Settings,
        required: bool,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Fault> {
        let contents = Contents::read(&settings)?;
        let Loaded { config, expiry } = contents.load(&settings, required, seconds(clock.as_ref()))?;
        let tls = Self {
            settings,
            required: AtomicBool::new(required),
            clock,
            metrics,
            current: RwLock::new(config),
            tried: Mutex::new(Tried { contents, expiry }),
        };
        tls.tell(expiry);
        Ok(tls)
    }

    /// What a handshake that begins now goes by.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says whether there is any other way for a client to prove who it is, from the next time on that files are read.
    pub fn require(&self, required: bool) {
        self.required.store(required, Ordering::Relaxed);
    }

    /// Reads the files again. From now on handshakes go by what is in them; open connections stay as they are.
    /// Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// Which file cannot be used, and why: what was in force stays so.
    pub fn reload(&self) -> Result<(), Fault> {
        let contents = Contents::read(&self.settings);
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = contents.and_then(|contents| {
            let loaded = contents.load(
                &self.settings,
                self.required.load(Ordering::Relaxed),
                seconds(self.clock.as_ref()),
            );
            tried.contents = contents;
            loaded
        });
        match loaded {
            Ok(Loaded { config, expiry }) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                tried.expiry = expiry;
                drop(tried);
                self.tell(expiry);
                tracing::info!(
                    expires = %load::day(expiry.server),
                    "new connections are made with the certificates that were read now"
                );
                Ok(())
            }
            Err(fault) => {
                self.metrics.connections.reload_failed();
                Err(fault)
            }
        }
    }

    fn tell(&self, expiry: load::Expiry) {
        self.metrics.connections.expires(Expires::server, expiry.server);
        if let Some(client_ca) = expiry.client_ca {
            self.metrics.connections.expires(Expires::client_ca, client_ca);
        }
    }
}

fn seconds(clock: &dyn Clock) -> i64 {
    clock.now_micros().div_euclid(1_000_000)
}
