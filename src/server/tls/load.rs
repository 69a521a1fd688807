//! Makes a configuration of rustls of the files, and says what is wrong with them.
use std::{fmt, path::Path, sync::Arc};

use jiff::Timestamp;
use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{PemObject as _, SectionKind},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Settings;
use crate::{files, server::listener::H2};

/// Certificates of a file at most: of a chain there are two or three, of authorities a few while they change.
const MOST_CERTIFICATES: usize = 64;

/// Why certificates cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The setting that names the file.
    pub setting: &'static str,
    /// The file, and what is wrong with it.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.setting, self.reason)
    }
}

const CERTIFICATE: &str = "tls_certificate";
const KEY: &str = "tls_key";
const CLIENT_CA: &str = "tls_client_ca";

/// What is in the files.
#[derive(PartialEq, Eq)]
pub struct Contents {
    certificate: String,
    key: String,
    client_ca: Option<String>,
}

/// When certificates expire, in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    pub server: i64,
    /// The first of several.
    pub client_ca: Option<i64>,
}

/// What is ready to be used.
pub struct Loaded {
    pub config: Arc<ServerConfig>,
    pub expiry: Expiry,
}

impl Contents {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, or others may read the key.
    pub fn read(settings: &Settings) -> Result<Self, Fault> {
        let public =
            |setting, path: &Path| files::read_public(path).map_err(|reason| Fault { setting, reason });
        Ok(Self {
            certificate: public(CERTIFICATE, &settings.certificate)?,
            key: files::read_secret(&settings.key).map_err(|reason| Fault { setting: KEY, reason })?,
            client_ca: settings.client_ca.as_deref().map(|path| public(CLIENT_CA, path)).transpose()?,
        })
    }

    /// The server's certificate and those between it and its authority, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Checks them, at a time in seconds since 1970.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(&self, settings: &Settings, required: bool, now: i64) -> Result<Loaded, Fault> {
        let at = |setting, path: &Path, reason: &dyn fmt::Display| Fault {
            setting,
            reason: format!("{}: {reason}", path.display()),
        };
        let of_chain = |reason: &dyn fmt::Display| at(CERTIFICATE, &settings.certificate, reason);
        let chain = certificates(&self.certificate).map_err(|reason| of_chain(&reason))?;
        let server = validity(&chain[0], now).map_err(|reason| of_chain(&reason))?.not_after;
        let key = key(&self.key).map_err(|reason| at(KEY, &settings.key, &reason))?;

        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|reason| of_chain(&reason))?;
        let mut client_ca = None;
        let builder = match settings.client_ca.as_deref().zip(self.client_ca.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((path, text)) => {
                let (roots, first) = authorities(text, now).map_err(|reason| at(CLIENT_CA, path, &reason))?;
                client_ca = Some(first);
                builder.with_client_cert_verifier(
                    verifier(roots, required, &provider).map_err(|reason| at(CLIENT_CA, path, &reason))?,
                )
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let certificate = settings.certificate.display();
                at(KEY, &settings.key, &format!("is not the key of the certificate in {certificate}"))
            }
            error => of_chain(&error),
        })?;
        config.alpn_protocols = vec![H2.to_vec()];
        // A session that is taken up again skips the client's certificate: it may have expired meanwhile, or its
        // authority be trusted no more. Connections live for long, so there is little to save.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Loaded { config: Arc::new(config), expiry: Expiry { server, client_ca } })
    }
}

fn verifier(
    roots: RootCertStore,
    required: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| error.to_string())
}

/// The certificates of a text, at least one.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = sections(text)?.into_iter().filter(|(kind, _)| *kind == SectionKind::Certificate);
    let found: Vec<_> = found.map(|(_, der)| CertificateDer::from(der)).collect();
    match found.len() {
        0 => Err("has no certificate in it".to_owned()),
        count if count > MOST_CERTIFICATES => {
            Err(format!("has {count} certificates in it, and {MOST_CERTIFICATES} are enough for anything"))
        }
        _ => Ok(found),
    }
}

/// The one private key of a text.
fn key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    if text.contains("ENCRYPTED") {
        return Err("the key is encrypted: give one without a passphrase".to_owned());
    }
    let mut keys = sections(text)?.into_iter().filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err("has no private key in it".to_owned()),
        (Some(_), Some(_)) => Err("has several private keys in it".to_owned()),
    }
}

fn sections(text: &str) -> Result<Vec<(SectionKind, Vec<u8>)>, String> {
    if !text.contains("-----BEGIN ") {
        return Err("is not PEM: it has no line that begins with -----BEGIN".to_owned());
    }
    let sections: Result<Vec<_>, _> = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).collect();
    // The library's text may show what is in the file.
    sections.map_err(|_| "is not PEM: what is between its lines of BEGIN and END cannot be read".to_owned())
}

/// Those who issue certificates to clients, and when the first of them expires.
fn authorities(text: &str, now: i64) -> Result<(RootCertStore, i64), String> {
    let mut roots = RootCertStore::empty();
    let mut first = i64::MAX;
    let mut refused = String::from("has no certificate of an authority (CA:TRUE) in it");
    for der in certificates(text)? {
        let (_, read) =
            X509Certificate::from_der(&der).map_err(|_| "has a certificate that cannot be read")?;
        if !read.is_ca() {
            continue;
        }
        // rustls never looks at how long an authority is valid.
        match validity(&der, now) {
            Ok(validity) => first = first.min(validity.not_after),
            Err(reason) => {
                tracing::warn!(subject = %read.subject(), %reason, "a certificate authority is left out");
                refused = reason;
                continue;
            }
        }
        roots.add(der).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err(refused) } else { Ok((roots, first)) }
}

struct Validity {
    not_after: i64,
}

/// Until when a certificate is valid, when it is now.
fn validity(der: &CertificateDer<'_>, now: i64) -> Result<Validity, String> {
    let (_, read) =
        X509Certificate::from_der(der).map_err(|_| "has a certificate that cannot be read".to_owned())?;
    let (begins, ends) = (read.validity().not_before.timestamp(), read.validity().not_after.timestamp());
    if now > ends {
        return Err(format!("the certificate expired on {}", day(ends)));
    }
    if now < begins {
        return Err(format!("the certificate is not valid before {}", day(begins)));
    }
    Ok(Validity { not_after: ends })
}

/// A time for people.
pub fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "another age".to_owned(), |at| at.to_string())
}
