//! Who may call: what is read at start and again on SIGHUP.
use std::{collections::BTreeMap, sync::Arc};

use crate::{
    auth::{
        Access,
        jwt::{Jwt, Settings, Source},
    },
    clock::SystemClock,
    config::{AccessFile, ConfigError},
    event::Producer,
    grpc::audit::Audit,
    ingest::rate::Rates,
    journal::Entry,
};

/// An issuer of signed tokens.
pub struct Issuer {
    pub jwt: Arc<Jwt>,
    /// Why there are no keys, of an issuer that was asked for them.
    pub missing: Option<String>,
}

/// What checks signed tokens, with the keys of their issuer where that may be asked: `config check` stays off the
/// network. A file must be right.
///
/// # Errors
/// It cannot be set up.
pub async fn issuer(settings: Option<Settings>, may_ask: bool) -> Result<Option<Issuer>, ConfigError> {
    let Some(settings) = settings else { return Ok(None) };
    let wrong = |reason| ConfigError { setting: "jwt", reason };
    let file = match &settings.source {
        Source::File(path) => Some(path.display().to_string()),
        Source::Url(_) => None,
    };
    let jwt = Arc::new(Jwt::new(settings, Arc::new(SystemClock)).map_err(wrong)?);
    if file.is_none() && !may_ask {
        return Ok(Some(Issuer { jwt, missing: None }));
    }
    let missing = jwt.fetch().await.err();
    match (missing, file) {
        (Some(reason), Some(path)) => Err(wrong(format!("{path}: {reason}"))),
        (missing, _) => Ok(Some(Issuer { jwt, missing })),
    }
}

/// The same for a server, which goes on to look for new keys. An issuer that does not answer now may answer later, and
/// keeps nobody away who has another credential.
///
/// # Errors
/// It cannot be set up.
pub async fn jwt(settings: Option<Settings>) -> Result<Option<Arc<Jwt>>, ConfigError> {
    let Some(Issuer { jwt, .. }) = issuer(settings, true).await? else { return Ok(None) };
    tokio::spawn(Arc::clone(&jwt).run());
    Ok(Some(jwt))
}

/// Reads again what can change while the server runs. What cannot be used leaves everything as it was. Keys may take
/// a while to come, which nobody waits for.
pub fn reload(file: &AccessFile, audit: &Audit) {
    // Without a file there is nothing to read.
    match file.path.as_ref().map(|_| file.read()) {
        None => {}
        Some(Ok(access)) => {
            audit.producers.replace(rates(&access), tokio::time::Instant::now());
            audit.authenticator.replace(access);
            audit.journal.record(Entry::configuration_reloaded("access"));
            tracing::info!("the access file was read again");
        }
        Some(Err(error)) => {
            audit.journal.record(Entry::configuration_refused("access", "see the server's log"));
            tracing::error!(%error, "the access file was not taken; what it said before holds");
        }
    }
    if let Some(jwt) = audit.authenticator.jwt() {
        jwt.forget();
        let (jwt, journal) = (Arc::clone(jwt), Arc::clone(&audit.journal));
        tokio::spawn(async move {
            match jwt.fetch().await {
                Ok(()) => {
                    journal.record(Entry::configuration_reloaded("jwt"));
                    tracing::info!("the keys of signed tokens were read again");
                }
                Err(error) => {
                    journal.record(Entry::configuration_refused("jwt", "see the server's log"));
                    tracing::error!(error, "the keys of signed tokens were not taken; those before hold");
                }
            }
        });
    }
}

/// Whether callers have nothing but certificates to show who they are, so that none can do without.
pub fn certificates_only(access: &Access, jwt: Option<&Arc<Jwt>>) -> bool {
    jwt.is_none() && access.table().is_none_or(|table| table.tokens.is_empty())
}

/// The rates of producers with rates of their own.
pub fn rates(access: &Access) -> BTreeMap<Producer, Rates> {
    access.table().map(|table| table.rates.clone()).unwrap_or_default()
}
