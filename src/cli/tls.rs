//! TLS of the command line: by whom it trusts a server, and how it proves who it is.
//!
//! Does: flags, reading their files, what tonic needs of them; why a connection failed, in words. Does not: connect.
//! Called by: `connect.rs`, `bench/connect.rs`.
use std::{
    error::Error,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::failure::Failure;

/// Bytes of a file at most: the certificates of a whole system have some 250 KiB.
const MOST_BYTES: u64 = 4 << 20;

/// Flags of every command that talks to a server.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsArgs {
    /// File with the authorities by which an https:// server is trusted, PEM [default: those of this system].
    #[arg(long, global = true, value_name = "FILE", env = "CHANCERY_CA")]
    pub ca: Option<PathBuf>,
    /// File with the certificate that says who calls, and those between it and its authority, PEM.
    #[arg(long, global = true, value_name = "FILE", env = "CHANCERY_CERTIFICATE")]
    pub certificate: Option<PathBuf>,
    /// File with its private key, PEM, which nobody but its owner may use.
    #[arg(long, global = true, value_name = "FILE", env = "CHANCERY_CERTIFICATE_KEY")]
    pub certificate_key: Option<PathBuf>,
}

/// What the files of the flags have in them.
pub struct Files {
    pub ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsArgs {
    /// Reads the files.
    pub fn read(&self) -> Result<Files, Failure> {
        let ca = self.ca.as_deref().map(|path| certificates("--ca", path)).transpose()?;
        let identity = match (&self.certificate, &self.certificate_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some((certificates("--certificate", certificate)?, private_key("--certificate-key", key)?))
            }
            (Some(_), None) => {
                return Err(Failure::Usage("--certificate needs its --certificate-key".to_owned()));
            }
            (None, Some(_)) => {
                return Err(Failure::Usage("--certificate-key needs its --certificate".to_owned()));
            }
        };
        Ok(Files { ca, identity })
    }

    /// Whether any flag is given.
    pub fn is_given(&self) -> bool {
        self.ca.is_some() || self.certificate.is_some() || self.certificate_key.is_some()
    }

    /// What rustls connects with: handshakes are full ones.
    pub fn rustls(&self) -> Result<ClientConfig, Failure> {
        let Files { ca, identity } = self.read()?;
        let wrong = |error: &dyn std::fmt::Display| Failure::Usage(format!("TLS: {error}"));
        let mut roots = RootCertStore::empty();
        match &ca {
            Some(pem) => roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten()),
            None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(&certificate).flatten().collect();
                let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong(&error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| wrong(&error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// What tonic connects with.
    pub fn config(&self) -> Result<ClientTlsConfig, Failure> {
        let Files { ca, identity } = self.read()?;
        let config = ClientTlsConfig::new();
        let config = match ca {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config.with_native_roots(),
        };
        Ok(match identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        })
    }
}

fn file(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong =
        |reason: &dyn std::fmt::Display| Failure::Usage(format!("{flag} {}: {reason}", path.display()));
    match fs::metadata(path).map_err(|error| wrong(&error))?.len() {
        length if length > MOST_BYTES => Err(wrong(&format!("has more than {MOST_BYTES} bytes"))),
        _ => fs::read(path).map_err(|error| wrong(&error)),
    }
}

fn certificates(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let pem = file(flag, path)?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(Failure::Usage(format!("{flag} {}: has no certificate in PEM in it", path.display()))),
    }
}

fn private_key(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |reason: &str| Failure::Usage(format!("{flag} {}: {reason}", path.display()));
    let pem = file(flag, path)?;
    let mode = fs::metadata(path).map_or(0, |found| found.mode()) & 0o777;
    if mode & 0o077 != 0 {
        let said = format!(
            "others than its owner may use this private key (mode {mode:03o}); run: chmod 600 {}",
            path.display()
        );
        return Err(wrong(&said));
    }
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(_) => Err(wrong("has no private key in PEM in it, or one with a passphrase")),
    }
}

/// Why TLS failed, for people, when that is what failed.
pub fn explained(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(each) = cause {
        if let Some(error) = each.downcast_ref::<rustls::Error>() {
            return Some(in_words(error));
        }
        // An io::Error hides what it was made of from `source`.
        if let Some(inner) = each.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(error) = inner.downcast_ref::<rustls::Error>()
        {
            return Some(in_words(error));
        }
        cause = each.source();
    }
    None
}

fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            // The second one: of an authority of the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the server's certificate is of an authority that is not trusted here (--ca)".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the server's certificate is for another name: {reason}")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the server's certificate has expired: {reason}")
            }
            CertificateError::Other(other) if is_authority(other) => {
                "the server's own certificate is one of an authority (CA:TRUE): it needs one that is none"
                    .to_owned()
            }
            reason => format!("the server's certificate cannot be trusted: {reason}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the server wants a certificate of the caller (--certificate, --certificate-key)".to_owned()
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError => {
                "the server does not trust the authority of this certificate".to_owned()
            }
            AlertDescription::CertificateExpired => {
                "this certificate has expired, says the server".to_owned()
            }
            alert => format!("the server ended the handshake: {alert:?}"),
        },
        rustls::Error::InvalidMessage(_) => {
            "the answer is no TLS: a server without TLS is reached by http://".to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether a server showed the certificate of an authority as its own. rustls has no name of its own for it.
fn is_authority(error: &rustls::OtherError) -> bool {
    format!("{:?}", error.0) == "CaUsedAsEndEntity"
}
