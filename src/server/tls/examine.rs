//! Looks the certificates over, for `chancery doctor`: what a start checks, and what clients will stumble over.
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    Fault, Settings,
    load::{Contents, Expiry, certificates},
};

/// What was found of certificates that can be used.
#[derive(Debug)]
pub struct Examined {
    pub expiry: Expiry,
    /// Whether the chain has a gap. A client has the authority's own certificate, and those in between from the server.
    pub gap: bool,
    /// Whether the server's own certificate is one of an authority, which rustls refuses, and so does the command line.
    pub authority: bool,
}

/// Reads the files as a start does, at a time in seconds since 1970.
///
/// # Errors
/// What a start would end with.
pub fn examine(settings: &Settings, required: bool, now: i64) -> Result<Examined, Fault> {
    let contents = Contents::read(settings)?;
    let expiry = contents.load(settings, required, now)?.expiry;
    let chain = certificates(contents.certificate()).unwrap_or_default();
    let read: Vec<_> = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok()).collect();
    Ok(Examined {
        expiry,
        gap: read.windows(2).any(|pair| pair[0].1.issuer() != pair[1].1.subject()),
        authority: read.first().is_some_and(|(_, leaf)| leaf.is_ca()),
    })
}
