//! Every setting, checked before a port is bound. Each is declared once, in [`settings`]: there is its flag, variable,
//! key, unit, default and meaning.
//!
//! Does: put together what flags, variables and the configuration file say, check it, and show it. Does not: open a
//! store or a port. Called by: `app` and `cli`.
mod access;
mod access_lines;
mod doctor;
mod fault;
mod given;
mod jwt;
mod layers;
mod limits;
mod origin;
mod otlp;
mod redact;
mod reference;
mod retention;
mod settings;
mod show;
mod signing;
mod store;
mod tls;
mod witness;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

pub use access::check as check_access;
pub use access_lines::{AccessLine, access_lines};
pub use doctor::DoctorArgs;
pub use given::ServeArgs;
pub use origin::{Origin, Origins};
pub use reference::reference;
use settings::Settings;
pub use show::Secrets;
pub use signing::Signing;
pub use store::{MigrateArgs, PartitionArgs, of_text as store_of_text};
pub use tls::Connections;
pub use witness::{WitnessArgs, WitnessConfig};

use crate::{
    auth::{Access, jwt::Settings as Jwt},
    catalog::model::Family,
    event::LogName,
    ingest::rate::Rates,
    retention::policy::Policy,
    store::StoreUrl,
    telemetry::{ExportSettings, LogFormat},
};

/// More than any disk that a SQLite file is on.
const MOST_FREE: u64 = 1 << 50;

/// The checked settings of a server.
#[derive(Debug)]
pub struct ServeConfig {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub connections: Connections,
    pub store: StoreUrl,
    pub catalog: Vec<PathBuf>,
    pub accept_unknown: BTreeSet<Family>,
    pub log_level: String,
    pub log_format: LogFormat,
    pub drain: Duration,
    /// None: nothing is signed.
    pub signing: Option<Signing>,
    /// How fast producers without rates of their own may send.
    pub rates: Rates,
    /// Who may do what.
    pub access: AccessFile,
    /// None: no signed token is believed.
    pub jwt: Option<Jwt>,
    /// How long the events of logs are kept.
    pub retention: BTreeMap<LogName, Policy>,
    /// Bytes that the disk of a SQLite store must have free for anything to be written.
    pub min_free_disk: u64,
    /// Whether appends are refused while no synchronous standby confirms commits.
    pub require_sync_replica: bool,
    /// None: no telemetry is sent.
    pub otlp: Option<ExportSettings>,
    /// Where each setting came from, for what is found wrong with it later.
    pub origins: Origins,
    hash: String,
}

/// Where it is said who may do what.
#[derive(Clone, Debug)]
pub struct AccessFile {
    /// None: everybody may do everything.
    pub path: Option<PathBuf>,
    limits: limits::Table,
}

impl AccessFile {
    /// What it says now.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn read(&self) -> Result<Access, ConfigError> {
        access::read(self.path.as_deref(), &self.limits)
    }
}

/// A setting that cannot be used: which one, and why.
#[derive(Debug, thiserror::Error)]
#[error("setting {setting}: {reason}")]
pub struct ConfigError {
    pub setting: &'static str,
    pub reason: String,
}

impl ConfigError {
    /// The same, with where the setting came from.
    fn from(self, origin: &Origin) -> Self {
        Self { reason: format!("{} ({origin})", self.reason), ..self }
    }
}

fn error(setting: &'static str, reason: impl ToString) -> ConfigError {
    ConfigError { setting, reason: reason.to_string() }
}

impl ServeConfig {
    /// What tells these settings from others, and nothing of what they say: servers that ought to have the same settings
    /// have the same hash. Contents of files are not in it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    fn of(given: Settings, hash: String, origins: Origins) -> Result<Self, ConfigError> {
        let listen = address("listen", &given.listen)?;
        let connections = tls::read(&given, listen)?;
        let otlp = otlp::read(&given)?;
        let mut accept_unknown = BTreeSet::new();
        for family in given.accept_unknown {
            accept_unknown.insert(family.parse().map_err(|reason| error("accept_unknown", reason))?);
        }
        if !(1..=3600).contains(&given.drain_seconds) {
            return Err(error("drain_seconds", "is not between 1 and 3600"));
        }
        let jwt = given.jwt.map(jwt::Table::settings).transpose().map_err(|reason| error("jwt", reason))?;
        if jwt.is_some() && given.access.is_none() {
            return Err(error("jwt", "needs an access file, which says what callers may do"));
        }
        if given.min_free_disk > MOST_FREE {
            return Err(error("min_free_disk", format!("is more than {MOST_FREE}")));
        }
        let store = match (&given.store, &given.store_file) {
            (_, Some(path)) => store::of_file(path)?,
            (text, None) => store::of_text(text.as_deref().unwrap_or_default())?,
        };
        if given.require_sync_replica && matches!(store, StoreUrl::Sqlite(_)) {
            return Err(error("require_sync_replica", "a SQLite store has no replica: use PostgreSQL"));
        }
        Ok(Self {
            listen,
            connections,
            admin_listen: address("admin_listen", &given.admin_listen)?,
            store,
            catalog: given.catalog,
            accept_unknown,
            log_level: given.log_level,
            log_format: given.log_format.parse().map_err(|reason| error("log_format", reason))?,
            drain: Duration::from_secs(given.drain_seconds),
            signing: signing::read(given.signing_key_file, given.signer_state, &given.witness)?,
            rates: given.limits.rates().map_err(|reason| error("limits", reason))?,
            access: AccessFile { path: given.access, limits: given.limits },
            jwt,
            retention: retention::policies(given.retention)?,
            min_free_disk: given.min_free_disk,
            require_sync_replica: given.require_sync_replica,
            otlp,
            origins,
            hash,
        })
    }
}

fn address(setting: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    let example = settings::default_of(setting);
    text.parse().map_err(|_| {
        let wanted = format!("an IP address and a port such as {example}, not the name of a host");
        error(setting, format!("{text:?} is not an address: {wanted}"))
    })
}
