//! Every setting of `chancery serve`, declared once: its flag, variable, key in the file, unit, default and meaning.
//!
//! A further setting is a field here, and its checked form a field of [`super::ServeConfig`]. Flag, variable and key
//! have one name, by [`flag`] and [`variable`]. The first paragraph of a comment is the help of `-h`; all of it is that
//! of `--help` and the meaning in docs/configuration.md. Does not: check what a value says. Called by: [`super::given`]
//! and what shows settings.
use std::{collections::BTreeMap, path::PathBuf};

use clap::{Arg, Args as _, Command};
use serde::{Deserialize, Serialize};

use super::{jwt, limits, retention};
use crate::server::listener::Limits;

/// What flags, variables and the file say, put together. What has a default has its value here once they are; the file
/// is read into the same type, to be checked by its keys and types.
#[derive(clap::Args, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Configuration file (TOML; keys are the long flag names with `_` for `-`).
    ///
    /// It is not itself a key of the file.
    #[arg(long, value_name = "FILE", env = "CHANCERY_CONFIG")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// Address for gRPC. Port 0 takes any free port.
    ///
    /// An IP address and a port, not the name of a host: `0.0.0.0:50051` for every IPv4 address of the machine. The log
    /// line `serving` names the port that was taken.
    #[arg(long, value_name = "ADDRESS", env = "CHANCERY_LISTEN", default_value = "127.0.0.1:50051")]
    pub(super) listen: String,
    /// Address for health over HTTP and metrics.
    ///
    /// An IP address and a port, where `/livez`, `/readyz` and `/metrics` are served.
    #[arg(long, value_name = "ADDRESS", env = "CHANCERY_ADMIN_LISTEN", default_value = "127.0.0.1:9464")]
    pub(super) admin_listen: String,
    /// Where events are stored: sqlite:PATH or postgres://...
    ///
    /// In full `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; what the URL does not say comes from PostgreSQL's own
    /// variables (`PGHOST`, `PGUSER`, `PGPASSWORD` and the like).
    #[arg(
        long,
        value_name = "URL",
        env = "CHANCERY_STORE",
        hide_env_values = true,
        default_value = "sqlite:chancery.db"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<String>,
    /// File with the address of the store, instead of the address itself.
    ///
    /// So that a password is in no process list and no variable. Refused when it is empty, and when others than its
    /// owner may use it, save that a file of root may be readable by its group.
    #[arg(long, value_name = "FILE", env = "CHANCERY_STORE_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store_file: Option<PathBuf>,
    /// A further catalog file with the site's own event types; may be repeated (environment: comma between paths).
    ///
    /// In the file it is a list. What such a file holds: `docs/catalog.md`.
    #[arg(long, value_name = "FILE", env = "CHANCERY_CATALOG", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) catalog: Vec<PathBuf>,
    /// A family (cms_audit, cms_notification, as_audit, token_server) whose unknown codes are accepted with a warning
    /// instead of refused; may be repeated.
    ///
    /// Given several times like `--catalog`.
    #[arg(long, value_name = "FAMILY", env = "CHANCERY_ACCEPT_UNKNOWN", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) accept_unknown: Vec<String>,
    /// What is logged: error, warn, info, debug, or a filter such as chancery=debug.
    #[arg(long, value_name = "LEVEL", env = "CHANCERY_LOG_LEVEL", default_value = "info")]
    pub(super) log_level: String,
    /// How log lines look: text or json.
    #[arg(long, value_name = "FORMAT", env = "CHANCERY_LOG_FORMAT", default_value = "text")]
    pub(super) log_format: String,
    /// Seconds between SIGTERM and a forced end: running calls and queued events get this long.
    ///
    /// 1 to 3600. A second signal ends the process at once.
    #[arg(long, value_name = "SECONDS", env = "CHANCERY_DRAIN_SECONDS", default_value_t = 20)]
    pub(super) drain_seconds: u64,
    /// File with the server's certificate, and those between it and its authority, PEM. With it and its key gRPC is
    /// served over TLS only.
    ///
    /// How certificates are made and changed: `docs/tls.md`.
    #[arg(long, value_name = "FILE", env = "CHANCERY_TLS_CERTIFICATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_certificate: Option<PathBuf>,
    /// File with the certificate's private key, PEM, which others may not use.
    ///
    /// Without a passphrase. Refused when others than its owner may use the file, save that a file of root may be
    /// readable by its group.
    #[arg(long, value_name = "FILE", env = "CHANCERY_TLS_KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_key: Option<PathBuf>,
    /// File with the authorities that issue certificates to clients, PEM. With it clients are asked for theirs.
    #[arg(long, value_name = "FILE", env = "CHANCERY_TLS_CLIENT_CA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_client_ca: Option<PathBuf>,
    /// Serve without TLS, or without an access file, where other machines can connect.
    ///
    /// Otherwise such a server does not start; either is told in the log. The flag alone is `true`, with `=false` it
    /// undoes what the file says.
    #[arg(
        long,
        value_name = "BOOL",
        env = "CHANCERY_INSECURE",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(super) insecure: bool,
    /// Connections for gRPC that may be open at a time.
    ///
    /// 1 to 1000000; what comes on top is closed at once.
    #[arg(long, value_name = "CONNECTIONS", env = "CHANCERY_MAX_CONNECTIONS", default_value_t = Limits::DEFAULT.total)]
    pub(super) max_connections: u32,
    /// Of them from one address.
    ///
    /// 1 to 1000000; of IPv6, from one network of 64 bits.
    #[arg(
        long,
        value_name = "CONNECTIONS",
        env = "CHANCERY_MAX_CONNECTIONS_PER_ADDRESS",
        default_value_t = Limits::DEFAULT.per_address
    )]
    pub(super) max_connections_per_address: u32,
    /// File with the key that signs checkpoints, which nobody but its owner may use (mode 0600). The key itself
    /// can be given in the environment instead, as CHANCERY_SIGNING_KEY.
    ///
    /// `chancery keys generate` makes one (`docs/signing.md`). A file of root may be readable by its group. Without a
    /// key nothing is signed.
    #[arg(long, value_name = "FILE", env = "CHANCERY_SIGNING_KEY_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signing_key_file: Option<PathBuf>,
    /// Folder, of this server alone and not in the store, for the last head that was signed of each log.
    ///
    /// On a volume that is not restored with the store. Made when it is not there.
    #[arg(long, value_name = "FOLDER", env = "CHANCERY_SIGNER_STATE", default_value = "chancery-signer")]
    pub(super) signer_state: PathBuf,
    /// A witness that cosigns checkpoints, with its verifier key: https://... = NAME+ID+KEY without spaces; may be
    /// repeated (environment: comma between witnesses).
    ///
    /// 16 at most.
    #[arg(
        long,
        value_name = "URL=KEY",
        env = "CHANCERY_WITNESS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) witness: Vec<String>,
    /// File that says who may do what; without one everybody may do everything, which is refused on an address that
    /// others reach. It is read again on SIGHUP.
    ///
    /// What it holds: `docs/access.md`.
    #[arg(long, value_name = "FILE", env = "CHANCERY_ACCESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access: Option<PathBuf>,
    /// Free bytes on the disk of a SQLite store below which nothing is written; reads go on.
    ///
    /// Of callers; what makes room goes on (`docs/health.md`). Writing begins again by itself when there is room; 0 for no
    /// limit. PostgreSQL looks after its own disk.
    #[arg(long, value_name = "BYTES", env = "CHANCERY_MIN_FREE_DISK", default_value_t = 256 << 20)]
    pub(super) min_free_disk: u64,
    /// Refuse appends while no synchronous standby of PostgreSQL confirms commits.
    ///
    /// So that an acked event survives the loss of the primary server. The flag alone is `true`, with `=false` it
    /// undoes what the file says. A SQLite store has no standby and is refused with it.
    #[arg(
        long,
        value_name = "BOOL",
        env = "CHANCERY_REQUIRE_SYNC_REPLICA",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(super) require_sync_replica: bool,
    /// Where traces, metrics and logs are sent by OTLP over gRPC; without it nothing is sent.
    ///
    /// A URL such as `http://127.0.0.1:4317`. When it is not given, `OTEL_EXPORTER_OTLP_ENDPOINT` is heeded;
    /// `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are in any case.
    #[arg(long, value_name = "URL", env = "CHANCERY_OTLP_ENDPOINT", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_endpoint: Option<String>,
    /// Share of traces that are kept when the caller has not decided, 0 to 1.
    #[arg(
        long,
        value_name = "SHARE",
        env = "CHANCERY_TRACE_RATIO",
        default_value = "1",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    pub(super) trace_ratio: f64,
    #[command(flatten)]
    #[serde(skip_serializing_if = "limits::Table::is_empty")]
    pub(super) limits: limits::Table,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jwt: Option<jwt::Table>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) retention: BTreeMap<String, retention::Table>,
}

/// A number that a file can hold.
fn finite(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("is not a number")
}

/// The long flag of a key, which need not be one of the top of the file.
pub(super) fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("CHANCERY_{}", key.to_uppercase())
}

/// The settings as clap knows them, in the order of their declaration.
pub(super) fn declared() -> Vec<Arg> {
    Settings::augment_args(Command::new("settings")).get_arguments().cloned().collect()
}

/// The flags, each with its default in its help.
pub(super) fn arguments() -> Vec<Arg> {
    declared().into_iter().map(with_default).collect()
}

/// The default of a setting; empty when it has none.
pub(super) fn default_of(key: &str) -> String {
    declared().iter().find(|arg| arg.get_id() == key).and_then(default).unwrap_or_default()
}

/// The default of a setting, if it has one.
pub(super) fn default(arg: &Arg) -> Option<String> {
    arg.get_default_values().first().map(|text| text.to_string_lossy().into_owned())
}

/// clap tells of a default that there is; that there is none is worth telling too.
fn with_default(arg: Arg) -> Arg {
    if !arg.get_default_values().is_empty() {
        return arg;
    }
    let short = arg.get_help().map(|text| format!("{text} [default: none]"));
    let long = arg.get_long_help().map(|text| format!("{text}\n\n[default: none]"));
    let arg = arg.help(short.unwrap_or_default());
    match long {
        Some(long) => arg.long_help(long),
        None => arg,
    }
}
