//! `chancery config check`: all that `serve` checks before it opens its store or a port.
//!
//! Does: read every file that the settings name, as `serve` would, and say what it would use. Does not: touch the
//! store, a port, the signer's folder or the network. Called by: `cli::run`.
use std::{fmt::Display, sync::Arc};

use super::{AppError, callers, catalog};
use crate::{
    auth::{Access, jwt::Source},
    clock::SystemClock,
    config::{ConfigError, ServeArgs, ServeConfig, Signing},
    server::tls::{Fault, Tls},
    telemetry::{self, Metrics},
};

/// Prints what would be used, a line each.
///
/// # Errors
/// The first setting or file that cannot be used.
pub async fn check(args: ServeArgs) -> Result<(), AppError> {
    let config = args.resolve()?;
    let origins = config.origins.clone();
    checked(config).await.map_err(|error| error.explained(&origins))
}

async fn checked(config: ServeConfig) -> Result<(), AppError> {
    let wrong = |setting| move |reason: String| ConfigError { setting, reason };
    telemetry::init(&config.log_level, config.log_format, None).map_err(wrong("log_level"))?;
    let catalog = catalog(&config)?;
    let access = config.access.read()?;
    let issuer = callers::issuer(config.jwt.clone(), false).await?;
    let jwt = issuer.as_ref().map(|issuer| &issuer.jwt);
    if let Some(settings) = config.connections.tls.clone() {
        let only = callers::certificates_only(&access, jwt);
        Tls::open(settings, only, Arc::new(SystemClock), Arc::new(Metrics::default()))
            .map_err(|Fault { setting, reason }| ConfigError { setting, reason })?;
    }
    if let Some(Signing { state, .. }) = &config.signing
        && state.exists()
        && !state.is_dir()
    {
        return Err(wrong("signer_state")(format!("{} is no folder", state.display())).into());
    }
    say("settings", config.hash());
    say("listen", config.listen);
    say("admin_listen", config.admin_listen);
    say("tls", if config.connections.tls.is_some() { "with certificates" } else { "none" });
    say("store", format_args!("{}, not opened", config.store));
    let types = catalog.types().count();
    say("catalog", format_args!("{types} event types, version {}", catalog.version()));
    match &access {
        Access::Open => say("access", "everybody may do everything"),
        Access::Table(table) => say(
            "access",
            format_args!(
                "{} producers, {} readers, {} auditors, {} admins, {} tokens",
                table.producers.len(),
                table.readers.len(),
                table.auditors.len(),
                table.admins.len(),
                table.tokens.len()
            ),
        ),
    }
    match config.jwt.as_ref().map(|settings| &settings.source) {
        None => say("signed tokens", "none"),
        Some(Source::File(path)) => say("signed tokens", format_args!("keys of {}", path.display())),
        Some(source) => say("signed tokens", format_args!("keys of {source}, not fetched")),
    }
    match &config.signing {
        None => say("checkpoints", "not signed"),
        Some(Signing { key, witnesses, .. }) => {
            say("checkpoints", format_args!("signed as {}, {} witnesses", key.name(), witnesses.len()));
        }
    }
    say("retention", format_args!("of {} logs", config.retention.len()));
    match &config.otlp {
        None => say("telemetry", "not sent"),
        Some(otlp) => say("telemetry", format_args!("to {}", otlp.endpoint())),
    }
    Ok(())
}

fn say(what: &str, how: impl Display) {
    println!("{what}: {how}");
}
