//! The files that a server reads: who may do what, catalogs, certificates, the signing key and its folder.
use std::{fs, io::ErrorKind, os::unix::fs::MetadataExt as _};

use super::{super::callers::Issuer, wrong};
use crate::{
    config::{ConfigError, ServeConfig},
    files,
    server::tls::{self, Examined, day},
    store::Finding,
};

/// Before the end of a certificate there is time to replace it.
const EXPIRES_SOON: i64 = 30 * 86_400;

/// Who may do what.
pub(super) fn access(config: &ServeConfig, error: Option<&ConfigError>) -> Finding {
    match (error, &config.access.path) {
        (Some(error), _) => wrong("access", error),
        (None, Some(path)) => Finding::good("access", format!("{} says who may do what", path.display())),
        (None, None) if config.connections.exposed.open => Finding::doubtful(
            "access",
            "there is no access file: everybody who reaches the port may do everything",
            "write one, and name it in `access` (docs/access.md)",
        ),
        (None, None) => {
            Finding::good("access", "no access file: everybody on this machine may do everything")
        }
    }
}

/// The issuer of signed tokens.
pub(super) fn jwt(config: &ServeConfig, issuer: &Result<Option<Issuer>, ConfigError>) -> Option<Finding> {
    let settings = config.jwt.as_ref()?;
    Some(match issuer {
        Err(error) => wrong("jwt", error),
        // A server starts without them all the same, and tells its log why.
        Ok(Some(Issuer { missing: Some(reason), .. })) => Finding::doubtful(
            "jwt",
            format!("the keys of {} cannot be fetched: {reason}", settings.source),
            "see to the issuer and the way there: without its keys no signed token is believed",
        ),
        Ok(_) => Finding::good("jwt", "signed tokens are believed"),
    })
}

/// The catalog with the site's own files.
pub(super) fn catalog(config: &ServeConfig) -> Finding {
    match super::super::catalog(config) {
        Ok(catalog) => Finding::good(
            "catalog",
            format!("{} event types, {} files of the site", catalog.types().count(), config.catalog.len()),
        ),
        Err(error) => {
            Finding::bad("catalog", error.to_string(), "correct the file: `chancery serve` would not start")
        }
    }
}

/// Certificates, their key, and those by which clients are trusted, at a time in seconds since 1970.
pub(super) fn certificates(config: &ServeConfig, only: bool, now: i64) -> Vec<Finding> {
    let Some(settings) = &config.connections.tls else {
        return vec![match config.connections.exposed.clear {
            true => Finding::doubtful(
                "certificate",
                "there is none: everybody on the way can read and change events",
                "set tls_certificate and tls_key (docs/tls.md)",
            ),
            false => Finding::good("certificate", "none: gRPC is served to this machine only"),
        }];
    };
    let Examined { expiry, gap, authority } = match tls::examine(settings, only, now) {
        Ok(examined) => examined,
        Err(fault) => {
            let remedy = "correct the file: `chancery serve` would not start";
            return vec![Finding::bad("certificate", fault.to_string(), remedy)];
        }
    };
    let mut found =
        vec![expires("certificate", &settings.certificate.display().to_string(), expiry.server, now)];
    if authority {
        found.push(Finding::bad(
            "chain",
            "the server's own certificate is one of an authority (CA:TRUE), which many clients refuse, and those of chancery",
            "have one issued that is none (docs/tls.md)",
        ));
    } else if gap {
        found.push(Finding::doubtful(
            "chain",
            "a certificate is not followed by that of its issuer: clients cannot build the chain",
            "put the certificates between it and its authority behind it, in order",
        ));
    }
    if let Some((path, at)) = settings.client_ca.as_ref().zip(expiry.client_ca) {
        found.push(expires("client CA", &path.display().to_string(), at, now));
    }
    found
}

fn expires(check: &'static str, file: &str, at: i64, now: i64) -> Finding {
    let found = format!("{file} is valid until {}", day(at));
    match at - now < EXPIRES_SOON {
        true => Finding::doubtful(check, found, "replace it: a running server takes a new one by itself"),
        false => Finding::good(check, found),
    }
}

/// The key that signs checkpoints, and the folder of what was signed last.
pub(super) fn signing(config: &ServeConfig) -> Vec<Finding> {
    let Some(signing) = &config.signing else {
        return vec![Finding::doubtful(
            "signing",
            "there is no signing key: nobody can check the logs of this server",
            "make one with `chancery keys generate` and name it in `signing_key_file` (docs/signing.md)",
        )];
    };
    let path = &signing.state;
    let state = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Finding::good(
            "signer state",
            format!("{} is not there yet: `chancery serve` makes it", path.display()),
        ),
        Err(error) => Finding::bad(
            "signer state",
            format!("{}: {error}", path.display()),
            "let the server's user use the folder",
        ),
        Ok(folder) if !folder.is_dir() => {
            Finding::bad("signer state", format!("{} is no folder", path.display()), "name a folder")
        }
        Ok(folder) if files::others_write(&folder) => Finding::bad(
            "signer state",
            format!(
                "{} can be changed by group or others (mode {:03o})",
                path.display(),
                folder.mode() & 0o777
            ),
            format!("chmod 700 {}", path.display()),
        ),
        Ok(_) => Finding::good("signer state", format!("{} is its owner's alone", path.display())),
    };
    vec![Finding::good("signing", format!("checkpoints are signed as {}", signing.key.name())), state]
}
