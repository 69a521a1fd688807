//! Every setting: its default, unit and meaning. A setting is a flag, an environment variable or a line
//! of the configuration file; the first of these that is given wins. All are checked before a port is
//! bound.
mod access;
mod access_lines;
mod fault;
mod jwt;
mod limits;
mod retention;
mod signing;
mod tls;
mod witness;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use access::check as check_access;
pub use access_lines::{AccessLine, access_lines};
use serde::Deserialize;
pub use signing::Signing;
pub use tls::Connections;
pub use witness::{WitnessArgs, WitnessConfig};

use crate::{
    auth::{Access, jwt::Settings as Jwt},
    catalog::model::Family,
    event::LogName,
    ingest::rate::Rates,
    retention::policy::Policy,
    store::StoreUrl,
    telemetry::LogFormat,
};

const DEFAULT_LISTEN: &str = "127.0.0.1:50051";
const DEFAULT_ADMIN_LISTEN: &str = "127.0.0.1:9464";
const DEFAULT_STORE: &str = "sqlite:chancery.db";
const DEFAULT_LOG_LEVEL: &str = "info";
const DEFAULT_DRAIN_SECONDS: u64 = 20;
/// Room for a WAL after long reads, for what retention and the self-audit write, and to look around in.
const DEFAULT_MIN_FREE_DISK: u64 = 256 << 20;

/// Flags of `chancery serve`.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct ServeArgs {
    /// Configuration file (TOML; keys are the long flag names with `_` for `-`).
    #[arg(long, value_name = "FILE", env = "CHANCERY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address for gRPC [default: 127.0.0.1:50051]. Port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS", env = "CHANCERY_LISTEN")]
    pub listen: Option<String>,
    /// Address for health over HTTP and metrics [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDRESS", env = "CHANCERY_ADMIN_LISTEN")]
    pub admin_listen: Option<String>,
    /// Where events are stored: sqlite:PATH or postgres://... [default: sqlite:chancery.db].
    #[arg(long, value_name = "URL", env = "CHANCERY_STORE", hide_env_values = true)]
    pub store: Option<String>,
    /// A further catalog file with the site's own event types; may be repeated (environment: comma
    /// between paths) [default: none].
    #[arg(long, value_name = "FILE", env = "CHANCERY_CATALOG", value_delimiter = ',')]
    pub catalog: Vec<PathBuf>,
    /// A family (cms_audit, cms_notification, as_audit, token_server) whose unknown codes are accepted
    /// with a warning instead of refused; may be repeated [default: none].
    #[arg(long, value_name = "FAMILY", env = "CHANCERY_ACCEPT_UNKNOWN", value_delimiter = ',')]
    pub accept_unknown: Vec<String>,
    /// What is logged: error, warn, info, debug, or a filter such as chancery=debug [default: info].
    #[arg(long, value_name = "LEVEL", env = "CHANCERY_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// How log lines look: text or json [default: text].
    #[arg(long, value_name = "FORMAT", env = "CHANCERY_LOG_FORMAT")]
    pub log_format: Option<String>,
    /// Seconds between SIGTERM and a forced end: running calls and queued events get this long
    /// [default: 20].
    #[arg(long, value_name = "SECONDS", env = "CHANCERY_DRAIN_SECONDS")]
    pub drain_seconds: Option<u64>,
    /// Bytes that the disk of a SQLite database is to have free: with less, appends are refused and reads go on; 0 for no
    /// limit [default: 268435456].
    #[arg(long, value_name = "BYTES", env = "CHANCERY_MIN_FREE_DISK")]
    pub min_free_disk: Option<u64>,
    /// File with the server's certificate, and those between it and its authority, PEM. With it and its key gRPC is
    /// served over TLS only [default: none].
    #[arg(long, value_name = "FILE", env = "CHANCERY_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// File with the certificate's private key, PEM, which others may not use [default: none].
    #[arg(long, value_name = "FILE", env = "CHANCERY_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// File with the authorities that issue certificates to clients, PEM. With it clients are asked for theirs
    /// [default: none].
    #[arg(long, value_name = "FILE", env = "CHANCERY_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// Serve without TLS, or without an access file, where other machines can connect [default: false].
    #[arg(
        long,
        value_name = "BOOL",
        env = "CHANCERY_INSECURE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub insecure: Option<bool>,
    /// Connections for gRPC that may be open at a time [default: 8192].
    #[arg(long, value_name = "CONNECTIONS", env = "CHANCERY_MAX_CONNECTIONS")]
    pub max_connections: Option<u32>,
    /// Of them from one address [default: 1024].
    #[arg(long, value_name = "CONNECTIONS", env = "CHANCERY_MAX_CONNECTIONS_PER_ADDRESS")]
    pub max_connections_per_address: Option<u32>,
    /// File with the key that signs checkpoints, which nobody but its owner may use (mode 0600). The key itself
    /// can be given in the environment instead, as CHANCERY_SIGNING_KEY [default: none].
    #[arg(long, value_name = "FILE", env = "CHANCERY_SIGNING_KEY_FILE")]
    pub signing_key_file: Option<PathBuf>,
    /// Folder, of this server alone and not in the store, for the last head that was signed of each log
    /// [default: chancery-signer].
    #[arg(long, value_name = "FOLDER", env = "CHANCERY_SIGNER_STATE")]
    pub signer_state: Option<PathBuf>,
    /// A witness that cosigns checkpoints, with its verifier key: https://... = NAME+ID+KEY without spaces; may be
    /// repeated (environment: comma between witnesses) [default: none].
    #[arg(long, value_name = "URL=KEY", env = "CHANCERY_WITNESS", value_delimiter = ',')]
    pub witness: Vec<String>,
    /// File that says who may do what; without one everybody may do everything, which is refused on an address that
    /// others reach. It is read again on SIGHUP [default: none].
    #[arg(long, value_name = "FILE", env = "CHANCERY_ACCESS")]
    pub access: Option<PathBuf>,
    /// Events per second that each producer may send; in the file a key of [limits] [default: none].
    #[arg(long, value_name = "EVENTS", env = "CHANCERY_EVENTS_PER_SECOND")]
    pub events_per_second: Option<u64>,
    /// Bytes of append requests per second that each producer may send; in the file a key of [limits]
    /// [default: none].
    #[arg(long, value_name = "BYTES", env = "CHANCERY_BYTES_PER_SECOND")]
    pub bytes_per_second: Option<u64>,
}

/// Flags of `chancery migrate`.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct MigrateArgs {
    /// The database whose schema is brought up to date: sqlite:PATH or postgres://...
    /// [default: sqlite:chancery.db].
    #[arg(long, value_name = "URL", env = "CHANCERY_STORE", hide_env_values = true)]
    pub store: Option<String>,
}

/// Flags of `chancery doctor`: the settings of the server that is looked over.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub serve: ServeArgs,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `chancery partition`.
#[derive(clap::Args, Clone, Debug)]
pub struct PartitionArgs {
    /// The log that gets partitions of its own.
    pub log: String,
    /// Events of a partition: a power of two between 16384 and 67108864 [default: 4194304].
    #[arg(long, value_name = "EVENTS")]
    pub partition_events: Option<u64>,
    /// The database: sqlite:PATH or postgres://... [default: sqlite:chancery.db].
    #[arg(long, value_name = "URL", env = "CHANCERY_STORE", hide_env_values = true)]
    pub store: Option<String>,
}

impl PartitionArgs {
    /// The database, the log, and the size of its partitions as a power of two.
    ///
    /// # Errors
    /// One of them is none.
    pub fn resolve(self) -> Result<(StoreUrl, LogName, u32), ConfigError> {
        let log = LogName::parse(&self.log).map_err(|reason| error("log", reason))?;
        let events = self.partition_events.unwrap_or(retention::default_partition());
        let bits = retention::bits(events).map_err(|reason| error("partition_events", reason))?;
        Ok((store(self.store)?, log, bits))
    }
}

/// The configuration file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<String>,
    admin_listen: Option<String>,
    store: Option<String>,
    catalog: Vec<PathBuf>,
    accept_unknown: Vec<String>,
    log_level: Option<String>,
    log_format: Option<String>,
    drain_seconds: Option<u64>,
    min_free_disk: Option<u64>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_client_ca: Option<PathBuf>,
    insecure: Option<bool>,
    max_connections: Option<u32>,
    max_connections_per_address: Option<u32>,
    signing_key_file: Option<PathBuf>,
    signer_state: Option<PathBuf>,
    witness: Vec<String>,
    limits: limits::Table,
    access: Option<PathBuf>,
    jwt: Option<jwt::Table>,
    retention: BTreeMap<String, retention::Table>,
}

impl File {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let at = |reason: &dyn std::fmt::Display| error("config", format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|reason| at(&reason))?;
        toml::from_str(&text).map_err(|reason| at(&fault::toml_fault(&text, &reason)))
    }
}

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
    /// Bytes.
    pub min_free_disk: u64,
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

fn error(setting: &'static str, reason: impl ToString) -> ConfigError {
    ConfigError { setting, reason: reason.to_string() }
}

impl ServeArgs {
    /// Reads the configuration file, applies defaults and checks every value.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn resolve(self) -> Result<ServeConfig, ConfigError> {
        let file = self.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let address = |setting, flag: Option<String>, file: Option<String>, default: &str| {
            let text = flag.or(file).unwrap_or_else(|| default.to_owned());
            text.parse().map_err(|_| error(setting, format!("{text:?} is not an address such as {default}")))
        };
        let families = if self.accept_unknown.is_empty() { file.accept_unknown } else { self.accept_unknown };
        let mut accept_unknown = BTreeSet::new();
        for family in families {
            accept_unknown.insert(family.parse().map_err(|reason| error("accept_unknown", reason))?);
        }
        let drain_seconds = self.drain_seconds.or(file.drain_seconds).unwrap_or(DEFAULT_DRAIN_SECONDS);
        if !(1..=3600).contains(&drain_seconds) {
            return Err(error("drain_seconds", "is not between 1 and 3600"));
        }
        let mut limits = file.limits;
        limits.events_per_second = self.events_per_second.or(limits.events_per_second);
        limits.bytes_per_second = self.bytes_per_second.or(limits.bytes_per_second);
        let listen = address("listen", self.listen, file.listen, DEFAULT_LISTEN)?;
        let connections = tls::Given {
            certificate: self.tls_certificate.or(file.tls_certificate),
            key: self.tls_key.or(file.tls_key),
            client_ca: self.tls_client_ca.or(file.tls_client_ca),
            insecure: self.insecure.or(file.insecure).unwrap_or(false),
            max_connections: self.max_connections.or(file.max_connections),
            max_connections_per_address: self
                .max_connections_per_address
                .or(file.max_connections_per_address),
        };
        let access = AccessFile { path: self.access.or(file.access), limits };
        let jwt = file.jwt.map(jwt::Table::settings).transpose().map_err(|reason| error("jwt", reason))?;
        if jwt.is_some() && access.path.is_none() {
            return Err(error("jwt", "needs an access file, which says what callers may do"));
        }
        Ok(ServeConfig {
            listen,
            connections: tls::read(connections, listen, access.path.is_none())?,
            admin_listen: address(
                "admin_listen",
                self.admin_listen,
                file.admin_listen,
                DEFAULT_ADMIN_LISTEN,
            )?,
            store: store(self.store.or(file.store))?,
            catalog: if self.catalog.is_empty() { file.catalog } else { self.catalog },
            accept_unknown,
            log_level: self.log_level.or(file.log_level).unwrap_or_else(|| DEFAULT_LOG_LEVEL.to_owned()),
            log_format: match self.log_format.or(file.log_format) {
                None => LogFormat::Text,
                Some(text) => text.parse().map_err(|reason| error("log_format", reason))?,
            },
            min_free_disk: self.min_free_disk.or(file.min_free_disk).unwrap_or(DEFAULT_MIN_FREE_DISK),
            drain: Duration::from_secs(drain_seconds),
            signing: signing::read(
                self.signing_key_file.or(file.signing_key_file),
                self.signer_state.or(file.signer_state),
                if self.witness.is_empty() { file.witness } else { self.witness },
            )?,
            rates: access.limits.rates().map_err(|reason| error("limits", reason))?,
            access,
            jwt,
            retention: retention::policies(file.retention)?,
        })
    }
}

impl MigrateArgs {
    /// The database to migrate.
    ///
    /// # Errors
    /// The address is not one.
    pub fn resolve(self) -> Result<StoreUrl, ConfigError> {
        store(self.store)
    }
}

fn store(text: Option<String>) -> Result<StoreUrl, ConfigError> {
    text.as_deref().unwrap_or(DEFAULT_STORE).parse().map_err(|reason| error("store", reason))
}
